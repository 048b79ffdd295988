// Checks Kubernetes resources against the types that npm packages have of them: an unknown member is an error, as for
// `kubectl apply --validate=strict`. Where target/clients is:
//
//     target/clients/venv/bin/node tests/deployment/schemas.mjs target/clients FILE...
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [clients, ...files] = [resolve(process.argv[2]), ...process.argv.slice(3)];
const { parseAllDocuments } = createRequire(join(clients, 'package.json'))('yaml');

const packages = [
  [/(^|\.)istio\.io$/, '@kubernetes-models/istio'],
  [/^monitoring\.coreos\.com$/, '@kubernetes-models/prometheus-operator'],
  [/^gateway\.envoyproxy\.io$/, '@kubernetes-models/envoy-gateway'],
  [/^gateway\.networking\.k8s\.io$/, '@kubernetes-models/gateway-api'],
  [/./, 'kubernetes-models'],
];

const resources = files.flatMap((file) =>
  parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS()).filter((resource) => resource));
const lines = resources.flatMap((resource, at) => {
  const { apiVersion, kind } = resource;
  const [, from] = packages.find(([group]) => group.test(apiVersion.split('/')[0]));
  return [
    `import type { I${kind} as T${at} } from ${JSON.stringify(`${from}/${apiVersion}/${kind}`)};`,
    `export const resource${at}: T${at} = ${JSON.stringify(resource)};`,
  ];
});

// Where the packages are found.
const folder = mkdtempSync(join(clients, 'schemas-'));
try {
  const file = join(folder, 'resources.ts');
  writeFileSync(file, lines.join('\n'));
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--moduleResolution', 'nodenext'];
  const checked = spawnSync(join(clients, 'node_modules/.bin/tsc'), [...options, file], { encoding: 'utf8' });
  console.log(`${resources.length} resources\n${checked.stdout}${checked.stderr}`);
  process.exitCode = checked.status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}

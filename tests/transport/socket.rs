//! The file of a Unix socket.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

use tokio::net::UnixSocket;
use tonic::transport::Endpoint;

use super::{Files, Relay, assert_served};
use crate::support::program::{Serving, program, run, stderr};

const SOCKET: &str = "listen: unix:relay.sock\n";
const SERVE: [&str; 3] = ["serve", "--config", "relay.yaml"];

fn endpoint(path: &Path) -> Endpoint {
    Endpoint::from_shared(format!("unix:{}", path.display())).unwrap()
}

#[tokio::test]
async fn a_socket_serves_its_owner_and_group_and_is_removed_at_the_end() {
    let relay = Relay::serve(Files::new(SOCKET, &[])).await;
    let path = relay.files.path().join("relay.sock");
    assert_eq!(relay.address.to_string(), format!("unix:{}", path.display()));
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
    assert_served(endpoint(&path)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_removed_at_a_stop_and_replaced_after_a_kill() {
    let files = Files::new(SOCKET, &[]);
    let path = files.path().join("relay.sock");
    let mut relay = Serving::start(program(files.path(), &SERVE));
    assert_eq!(relay.listening["address"], "unix:relay.sock");
    assert_served(endpoint(&path)).await;
    relay.kill();
    assert!(path.exists(), "nobody removed it");
    let mut relay = Serving::start(program(files.path(), &SERVE));
    assert_served(endpoint(&path)).await;
    assert!(relay.stop().success());
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_somebody_answers_at_is_left_alone() {
    let files = Files::new(SOCKET, &[]);
    let path = files.path().join("relay.sock");
    let _first = Serving::start(program(files.path(), &SERVE));
    let second = run(files.path(), &SERVE);
    assert_eq!(second.status.code(), Some(1));
    let expected = "cannot listen on unix:relay.sock: another program answers there\n";
    assert!(stderr(&second).ends_with(expected), "{}", stderr(&second));
    assert_served(endpoint(&path)).await;
}

/// A program that hangs is there all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_where_everybody_makes_files_is_remarked_upon() {
    let files = Files::new("listen: unix:run/relay.sock\n", &[]);
    let folder = files.path().join("run");
    fs::create_dir(&folder).unwrap();
    for (mode, is_remarked) in [(0o777, true), (0o1777, false), (0o770, false)] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        let mut relay = Serving::start(program(files.path(), &SERVE));
        relay.stop();
        let remarks =
            relay.said.iter().any(|line| line["remark"].to_string().contains("another socket into run"));
        assert_eq!(remarks, is_remarked, "{mode:o}: {:?}", relay.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_with_a_full_queue_is_left_alone() {
    let files = Files::new(SOCKET, &[]);
    let path = files.path().join("relay.sock");
    let hanging = UnixSocket::new_stream().unwrap();
    hanging.bind(&path).unwrap();
    let _hanging = hanging.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(connection) = UnixSocket::new_stream().unwrap().connect(&path).await {
        waiting.push(connection);
    }
    let relay = run(files.path(), &SERVE);
    assert!(stderr(&relay).ends_with("another program answers there\n"), "{}", stderr(&relay));
    assert!(path.exists());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let files = Files::new(SOCKET, &[]);
    let path = files.path().join("relay.sock");
    let expected =
        "cannot listen on unix:relay.sock: expected no file or a socket, but found something else\n";
    let refused = || {
        let relay = run(files.path(), &SERVE);
        assert_eq!(relay.status.code(), Some(1));
        assert!(stderr(&relay).ends_with(expected), "{}", stderr(&relay));
    };
    fs::write(&path, "precious").unwrap();
    refused();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    // A link, even to a socket that is stale: what it points to is not the relay's to remove.
    drop(UnixListener::bind(files.path().join("other.sock")).unwrap());
    std::os::unix::fs::symlink("other.sock", &path).unwrap();
    refused();
    assert!(files.path().join("other.sock").exists());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused();
}

/// The next relay may be there before the last one is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_another_relay_is_not_removed() {
    let files = Files::new(SOCKET, &[]);
    let path = files.path().join("relay.sock");
    let mut first = Serving::start(program(files.path(), &SERVE));
    fs::remove_file(&path).unwrap();
    let _second = Serving::start(program(files.path(), &SERVE));
    assert!(first.stop().success());
    assert_served(endpoint(&path)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_the_environment_take_a_socket_too() {
    let files = Files::new("listen: 127.0.0.1:0\n", &[]);
    let mut by_argument = program(files.path(), &SERVE);
    by_argument.args(["--listen", "unix:one.sock"]);
    let mut by_environment = program(files.path(), &SERVE);
    by_environment.env("PROOF_MESSENGER_LISTEN", "unix:two.sock");
    for (command, name) in [(by_argument, "one.sock"), (by_environment, "two.sock")] {
        let relay = Serving::start(command);
        assert_eq!(relay.listening["address"], format!("unix:{name}"));
        assert_served(endpoint(&files.path().join(name))).await;
    }
    let protected = Files::new(super::WITH_NAMES, &[]);
    let relay = run(protected.path(), &["serve", "--config", "relay.yaml", "--listen", "unix:one.sock"]);
    assert_eq!(relay.status.code(), Some(64));
    assert!(stderr(&relay).contains("the configuration has tls"), "{}", stderr(&relay));
    assert!(!protected.path().join("one.sock").exists());
}

//! Keeps what is published at URLs at hand.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::keys::remote::Remote;
use crate::relay::Relay;

/// Fetches the keys of each URL again and again, one request at a time for each, and tells of what is new.
///
/// It is told of key ids that nobody knows. A request that has one is denied and does not wait: whoever publishes a key
/// does it before they sign with it.
pub(super) fn keep(remotes: &[Arc<Remote>], relay: &Arc<Relay>, news: &Arc<Notify>) -> JoinSet<()> {
    let mut kept = JoinSet::new();
    for remote in remotes {
        kept.spawn(keep_one(Arc::clone(remote), Arc::clone(relay), Arc::clone(news)));
    }
    kept
}

async fn keep_one(remote: Arc<Remote>, relay: Arc<Relay>, news: Arc<Notify>) {
    let url = &*remote.settings.url;
    let mut misses = relay.misses.subscribe();
    let mut was_failing = false;
    loop {
        // What is missed from here on is asked for again.
        misses.mark_unchanged();
        let of_thread = Arc::clone(&remote);
        let fetched = spawn_blocking(move || of_thread.fetch().map_err(|error| error.to_string())).await;
        let fetched = fetched.unwrap_or_else(|error| Err(error.to_string()));
        let failing = fetched.is_err();
        relay.metrics.fetched(url, !failing);
        match fetched {
            Ok(new) => {
                if std::mem::take(&mut was_failing) {
                    tracing::info!(url, "keys can be fetched again");
                }
                if new {
                    news.notify_one();
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut was_failing, true) {
                    let kept = match remote.published() {
                        Some(_) => "what was fetched before stays in force",
                        None => "there are none from there",
                    };
                    tracing::error!(url, error, "keys cannot be fetched: {kept}");
                }
                if remote.expire() {
                    tracing::error!(url, "keys were not confirmed for too long: they are no longer in force");
                    news.notify_one();
                }
            }
        }
        sleep(remote.settings.cooldown).await;
        let rest = remote.settings.refresh.saturating_sub(remote.settings.cooldown);
        // Without keys every request is denied, so there is nothing to wait for but the publisher.
        if !failing {
            // Whether it was asked for or is time, it is fetched.
            let _ = timeout(rest, misses.changed()).await;
        }
    }
}

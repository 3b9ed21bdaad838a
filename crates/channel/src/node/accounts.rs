//! Sockets that a Node server counts after it sent them away (`server.getConnections`, `server.close`).
//!
//! Node's side of it: `NODE_SOCKET_GET_COUNT` asks for a number, `NODE_SOCKET_NOTIFY_CLOSE` asks to be told once the last
//! one is closed. Until that is answered, the callback of `server.close()` waits.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Value;

/// Says that everything that came from this server is closed.
type Tell = dyn Fn(Value) + Send + Sync;

/// How many sockets of each server live here.
pub(super) struct Accounts {
    servers: Mutex<HashMap<String, Account>>,
    tell: Box<Tell>,
}

#[derive(Debug, Default)]
struct Account {
    living: usize,
    /// Someone waits for the last one.
    asked: bool,
}

/// A received connection that the sender counts. Drop it when the connection is closed.
pub struct Held {
    key: String,
    accounts: Weak<Accounts>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.key).finish()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(accounts) = self.accounts.upgrade() {
            accounts.close(&self.key);
        }
    }
}

impl Accounts {
    pub(super) fn new(tell: Box<Tell>) -> Arc<Accounts> {
        Arc::new(Accounts { servers: Mutex::default(), tell })
    }

    /// One more connection of the server with this key.
    pub(super) fn hold(self: &Arc<Accounts>, key: &str) -> Held {
        self.servers().entry(key.to_owned()).or_default().living += 1;
        Held { key: key.to_owned(), accounts: Arc::downgrade(self) }
    }

    /// The answer to `NODE_SOCKET_GET_COUNT`.
    pub(super) fn count(&self, key: &str) -> Value {
        let living = self.servers().get(key).map_or(0, |account| account.living);
        Value::Object(vec![
            ("cmd".to_owned(), "NODE_SOCKET_COUNT".into()),
            ("key".to_owned(), key.into()),
            ("count".to_owned(), Value::Number(living as f64)),
        ])
    }

    /// The answer to `NODE_SOCKET_NOTIFY_CLOSE`, if it can be given at once.
    pub(super) fn notify_close(&self, key: &str) -> Option<Value> {
        match self.servers().get_mut(key) {
            Some(account) => {
                account.asked = true;
                None
            }
            None => Some(all_closed(key)),
        }
    }

    fn close(&self, key: &str) {
        let mut servers = self.servers();
        let Some(account) = servers.get_mut(key) else { return };
        account.living -= 1;
        if account.living > 0 {
            return;
        }
        let asked = account.asked;
        servers.remove(key);
        drop(servers);
        if asked {
            (self.tell)(all_closed(key));
        }
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn all_closed(key: &str) -> Value {
    Value::object([("cmd", "NODE_SOCKET_ALL_CLOSED"), ("key", key)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_all_is_closed_comes_once_and_only_when_asked_for() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let accounts = Accounts::new(Box::new({
            let told = Arc::clone(&told);
            move |message| told.lock().unwrap().push(message)
        }));
        let (a, b, other) = (accounts.hold("4::80"), accounts.hold("4::80"), accounts.hold("4::81"));
        assert_eq!(accounts.count("4::80").get("count"), Some(&2.into()));
        assert_eq!(accounts.notify_close("4::80"), None);
        drop((a, other));
        assert_eq!(told.lock().unwrap().len(), 0);
        drop(b);
        assert_eq!(*told.lock().unwrap(), [all_closed("4::80")]);
        assert_eq!(accounts.notify_close("4::80"), Some(all_closed("4::80")));
        assert_eq!(accounts.count("4::80").get("count"), Some(&0.into()));
        assert!(accounts.servers().is_empty());
    }
}

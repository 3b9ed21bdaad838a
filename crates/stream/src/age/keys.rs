//! Keys: [`Recipient`] and [`Identity`], alone, in files, or a passphrase in their place.

use std::error::Error as StdError;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::{ExposeSecret, SecretString};
use age::{scrypt, x25519};

/// What `age` takes: 256 MiB of memory, about a second.
const WORK_FACTOR: u8 = 18;
/// What `age` accepts: 4 GiB of memory, about 16 seconds.
const MOST_WORK_FACTOR: u8 = 22;
/// What the algorithm allows.
const WORK_FACTORS: std::ops::RangeInclusive<u8> = 1..=30;
/// The largest file of keys, as for `age` and `rage`.
const KEY_FILE_LIMIT: u64 = 16 << 20;
const KEY_FILE_MODE: u32 = 0o600;

/// Why something is no key, or a file of keys cannot be used. Never tells a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a recipient.
    NotARecipient {
        /// File and line, or `recipient`.
        place: String,
        /// What it is instead.
        why: &'static str,
    },
    /// Not an identity.
    NotAnIdentity {
        /// File and line, or `identity`.
        place: String,
        /// What it is instead.
        why: &'static str,
    },
    /// A file, or a list, without any key.
    NoKey {
        /// The file, or the list.
        place: String,
    },
    /// A file that cannot be read or written.
    File {
        /// What was attempted: `read`, `create`.
        verb: &'static str,
        /// Its path.
        path: PathBuf,
        /// What came back.
        cause: io::Error,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::NotARecipient { place, why } => {
                write!(formatter, "{place}: not a recipient (age1…): {why}")
            }
            KeyError::NotAnIdentity { place, why } => {
                write!(formatter, "{place}: not an identity (AGE-SECRET-KEY-1…): {why}")
            }
            KeyError::NoKey { place } => write!(formatter, "{place}: no key in it"),
            KeyError::File { verb, path, cause } => {
                write!(formatter, "cannot {verb} the key file {}: {cause}", path.display())
            }
        }
    }
}

impl StdError for KeyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            KeyError::File { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// The public half of a key, `age1…`: whom to encrypt to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Recipient(x25519::Recipient);

impl FromStr for Recipient {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Recipient, KeyError> {
        Recipient::parse(text, || "recipient".into())
    }
}

impl Recipient {
    /// Those of a file: one on each line, and comments that begin with `#`.
    pub fn file(path: impl AsRef<Path>) -> Result<Vec<Recipient>, KeyError> {
        parse_file(path.as_ref(), |line, place| Recipient::parse(line, place))
    }

    fn parse(text: &str, place: impl FnOnce() -> String) -> Result<Recipient, KeyError> {
        text.trim().parse().map(Recipient).map_err(|_| KeyError::NotARecipient { place: place(), why: guess(text) })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The secret half of a key, `AGE-SECRET-KEY-1…`: decrypts what was encrypted to its [`recipient`](Identity::recipient).
#[derive(Clone)]
pub struct Identity(x25519::Identity);

impl Identity {
    /// A new one, by the randomness of the system.
    pub fn generate() -> Identity {
        Identity(x25519::Identity::generate())
    }

    /// Its public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// The secret as text: who has it reads what was encrypted to it.
    pub fn expose(&self) -> String {
        self.0.to_string().expose_secret().to_owned()
    }

    /// Writes it to a new file that only its owner may read, with the recipient as a comment, as `age-keygen` does.
    pub fn write_file(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let path = path.as_ref();
        let failed = |cause| KeyError::File { verb: "create", path: path.into(), cause };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(path).map_err(failed)?;
        let text = format!("# public key: {}\n{}\n", self.recipient(), self.expose());
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }

    fn parse(text: &str, place: impl FnOnce() -> String) -> Result<Identity, KeyError> {
        text.trim().parse().map(Identity).map_err(|_| KeyError::NotAnIdentity { place: place(), why: guess(text) })
    }
}

impl FromStr for Identity {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Identity, KeyError> {
        Identity::parse(text, || "identity".into())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity(of {})", self.recipient())
    }
}

/// Whom to encrypt to: keys, of which each one decrypts, or a passphrase.
#[derive(Clone)]
pub struct Recipients(To);

#[derive(Clone)]
enum To {
    Keys(Vec<Recipient>),
    Passphrase(SecretString, u8),
}

impl Recipients {
    /// Each of these; at least one.
    pub fn new(recipients: impl IntoIterator<Item = Recipient>) -> Result<Recipients, KeyError> {
        let recipients: Vec<Recipient> = recipients.into_iter().collect();
        if recipients.is_empty() {
            return Err(KeyError::NoKey { place: "the list of recipients".into() });
        }
        Ok(Recipients(To::Keys(recipients)))
    }

    /// Whoever knows the passphrase. It takes 256 MiB of memory and about a second to encrypt, and to decrypt: see
    /// [`work_factor`](Recipients::work_factor). For programs a key is better.
    pub fn passphrase(passphrase: impl Into<String>) -> Recipients {
        Recipients(To::Passphrase(SecretString::from(passphrase.into()), WORK_FACTOR))
    }

    /// Those of a file: one on each line, and comments that begin with `#`.
    pub fn file(path: impl AsRef<Path>) -> Result<Recipients, KeyError> {
        Recipients::new(Recipient::file(path)?)
    }

    /// How much work one guess of the passphrase is: 2 to this power KiB of memory, and the time to fill it. From 1 to 30;
    /// default 18, as `age` has it. Of keys it changes nothing.
    pub fn work_factor(mut self, log2: u8) -> Recipients {
        if let To::Passphrase(_, work_factor) = &mut self.0 {
            *work_factor = log2.clamp(*WORK_FACTORS.start(), *WORK_FACTORS.end());
        }
        self
    }

    pub(super) fn as_age(&self) -> Vec<Box<dyn age::Recipient>> {
        match &self.0 {
            To::Keys(keys) => keys.iter().map(|key| Box::new(key.0.clone()) as Box<dyn age::Recipient>).collect(),
            To::Passphrase(passphrase, work_factor) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(*work_factor);
                vec![Box::new(recipient)]
            }
        }
    }
}

impl From<Recipient> for Recipients {
    fn from(recipient: Recipient) -> Recipients {
        Recipients(To::Keys(vec![recipient]))
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            To::Keys(keys) => formatter.debug_list().entries(keys).finish(),
            To::Passphrase(..) => formatter.write_str("Recipients(a passphrase)"),
        }
    }
}

/// What to decrypt with: keys, passphrases, or both, of which one must fit.
#[derive(Clone)]
pub struct Identities {
    keys: Vec<Identity>,
    passphrases: Vec<SecretString>,
    most_work_factor: u8,
}

impl Default for Identities {
    fn default() -> Identities {
        Identities { keys: Vec::new(), passphrases: Vec::new(), most_work_factor: MOST_WORK_FACTOR }
    }
}

impl Identities {
    /// A passphrase.
    pub fn passphrase(passphrase: impl Into<String>) -> Identities {
        Identities { passphrases: vec![SecretString::from(passphrase.into())], ..Identities::default() }
    }

    /// Those of a file, as `age-keygen` writes it: one on each line, and comments that begin with `#`.
    pub fn file(path: impl AsRef<Path>) -> Result<Identities, KeyError> {
        parse_file(path.as_ref(), |line, place| Identity::parse(line, place)).map(Identities::from_iter)
    }

    /// These and those; of two limits of work the smaller one.
    pub fn and(mut self, more: impl Into<Identities>) -> Identities {
        let more = more.into();
        self.keys.extend(more.keys);
        self.passphrases.extend(more.passphrases);
        self.most_work_factor = self.most_work_factor.min(more.most_work_factor);
        self
    }

    /// The most work that a passphrase may ask for, since whoever made the file chose it: 2 to this power KiB of memory, and
    /// the time to fill it. Default 22 (4 GiB), as `age` has it; `rage` measures the machine, so that a file can be
    /// decrypted here and not there. A server that takes files of strangers wants less.
    pub fn most_work_factor(mut self, log2: u8) -> Identities {
        self.most_work_factor = log2;
        self
    }

    pub(super) fn work_factor_limit(&self) -> u8 {
        self.most_work_factor
    }

    pub(super) fn as_age(&self) -> Vec<Box<dyn age::Identity>> {
        let keys = self.keys.iter().map(|key| Box::new(key.0.clone()) as Box<dyn age::Identity>);
        let passphrases = self.passphrases.iter().map(|passphrase| {
            let mut identity = scrypt::Identity::new(passphrase.clone());
            identity.set_max_work_factor(self.most_work_factor);
            Box::new(identity) as Box<dyn age::Identity>
        });
        keys.chain(passphrases).collect()
    }
}

impl From<Identity> for Identities {
    fn from(identity: Identity) -> Identities {
        Identities { keys: vec![identity], ..Identities::default() }
    }
}

impl FromIterator<Identity> for Identities {
    fn from_iter<I: IntoIterator<Item = Identity>>(identities: I) -> Identities {
        Identities { keys: identities.into_iter().collect(), ..Identities::default() }
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = formatter.debug_struct("Identities");
        told.field("keys", &self.keys).field("passphrases", &self.passphrases.len()).finish()
    }
}

/// The keys of a file, each on a line of its own; at least one.
fn parse_file<K>(
    path: &Path,
    parse: impl Fn(&str, &dyn Fn() -> String) -> Result<K, KeyError>,
) -> Result<Vec<K>, KeyError> {
    let failed = |cause| KeyError::File { verb: "read", path: path.into(), cause };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    let read = file.take(KEY_FILE_LIMIT + 1).read_to_string(&mut text).map_err(failed)?;
    if read as u64 > KEY_FILE_LIMIT {
        return Err(failed(io::Error::other(format!("it is larger than {KEY_FILE_LIMIT} bytes"))));
    }
    let mut keys = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            keys.push(parse(line, &|| format!("{} line {number}", path.display()))?);
        }
    }
    if keys.is_empty() {
        return Err(KeyError::NoKey { place: path.display().to_string() });
    }
    Ok(keys)
}

/// What it probably is, without telling it.
fn guess(text: &str) -> &'static str {
    let lower = text.trim().to_ascii_lowercase();
    let begins = |with: &str| lower.starts_with(with);
    if begins("age-secret-key-pq-1") || begins("age1pq1") {
        "keys against quantum computers are not supported"
    } else if begins("age-plugin-") {
        "plugins are not supported"
    } else if begins("age-secret-key-1") {
        "an identity must be whole and without a typing error, and is not a recipient"
    } else if begins("ssh-") || begins("-----begin openssh") || begins("-----begin rsa") {
        "SSH keys are not supported"
    } else if begins("-----begin age") || begins("age-encryption.org/") {
        "it is encrypted itself: decrypt it first"
    } else if begins("age1") {
        "a recipient must be whole and without a typing error, and is not an identity"
    } else {
        "it does not begin like one"
    }
}

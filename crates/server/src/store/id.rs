//! Names of stored pictures: 128 random bits and an ending. Never chosen, and never guessable, by a client.

use super::StoreError;
use phalanx::image::Format;
use std::fmt;
use std::str::FromStr;

/// The formats in which results are stored: those that we write.
const STORED: [Format; 3] = [Format::Jpeg, Format::Png, Format::WebP];

/// The name of a stored picture, such as `0f…9a.jpg`: the only form in which a path of the store can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ImageId {
    random: u128,
    format: Format,
}

/// The text is no name of a stored picture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoImageId;

impl ImageId {
    /// A new name from the operating system's random source.
    pub(super) fn new(format: Format) -> Result<Self, StoreError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| StoreError::Io(std::io::Error::other(e)))?;
        Ok(ImageId { random: u128::from_ne_bytes(bytes), format })
    }

    /// The name of the picture that a job made: as hard to guess as the id of the job, and the same each time. `None` for a
    /// format that is never stored.
    pub(crate) fn of_job(job: [u8; 16], format: Format) -> Option<Self> {
        STORED.contains(&format).then(|| ImageId { random: u128::from_be_bytes(job), format })
    }

    pub(crate) fn format(self) -> Format {
        self.format
    }

    /// The entity tag: the bytes under a name never change.
    pub(crate) fn entity_tag(self) -> String {
        format!("\"{:032x}\"", self.random)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}.{}", self.random, self.format.extension())
    }
}

impl FromStr for ImageId {
    type Err = NoImageId;
    fn from_str(text: &str) -> Result<Self, NoImageId> {
        let (random, ending) = text.split_once('.').ok_or(NoImageId)?;
        let lower_hex = random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let format = STORED.into_iter().find(|f| f.extension() == ending).ok_or(NoImageId)?;
        match u128::from_str_radix(random, 16) {
            Ok(value) if random.len() == 32 && lower_hex => Ok(ImageId { random: value, format }),
            _ => Err(NoImageId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_reads_back_as_itself() {
        for format in STORED {
            let id = ImageId::new(format).unwrap();
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn nothing_else_is_a_name() {
        let hex = "0123456789abcdef0123456789abcdef";
        for text in [
            "",
            ".",
            "..",
            "../etc/passwd",
            hex,
            &format!("{hex}."),
            &format!("{hex}.gif"),
            &format!("{hex}.jpg.jpg"),
            &format!("{}.jpg", &hex[1..]),
            &format!("0{hex}.jpg"),
            &format!("+{}.jpg", &hex[1..]),
            &format!("{}.jpg", hex.to_uppercase()),
            &format!("{hex}.jpg/"),
            &format!("/{hex}.jpg"),
        ] {
            assert_eq!(text.parse::<ImageId>(), Err(NoImageId), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_would_be_written(text in "\\PC{0,48}") {
            if let Ok(id) = text.parse::<ImageId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}

//! [`Filling`]: what stands for `{instance}`, `{fd}` and `{fd:NAME}`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Number of the first inherited socket, as systemd has it.
const FIRST_SOCKET: usize = 3;

/// What is filled into arguments and variables of one worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling<'a> {
    pub(super) instance: u16,
    /// Names of the inherited sockets, in order.
    pub(super) sockets: &'a [String],
}

impl Filling<'_> {
    /// `text` with everything filled in; an error names what cannot be. Other braces stay as they are.
    pub(super) fn fill(&self, text: &OsStr) -> Result<OsString, String> {
        let mut filled = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some(open) = rest.iter().position(|byte| *byte == b'{') {
            filled.extend_from_slice(&rest[..open]);
            rest = &rest[open..];
            let Some(close) = rest.iter().position(|byte| *byte == b'}') else { break };
            match self.value(&rest[1..close]) {
                Some(Ok(value)) => filled.extend_from_slice(value.to_string().as_bytes()),
                Some(Err(why)) => return Err(format!("\"{}\": {why}", text.display())),
                None => {
                    // A brace of the program's own.
                    filled.push(b'{');
                    rest = &rest[1..];
                    continue;
                }
            }
            rest = &rest[close + 1..];
        }
        filled.extend_from_slice(rest);
        Ok(OsString::from_vec(filled))
    }

    fn value(&self, name: &[u8]) -> Option<Result<usize, String>> {
        match name {
            b"instance" => Some(Ok(self.instance.into())),
            b"fd" if self.sockets.is_empty() => {
                Some(Err("there is no socket to inherit; give an address to listen on".into()))
            }
            b"fd" => Some(Ok(FIRST_SOCKET)),
            _ => {
                let name = name.strip_prefix(b"fd:")?;
                let position = self.sockets.iter().position(|its| its.as_bytes() == name);
                Some(position.map(|index| FIRST_SOCKET + index).ok_or_else(|| {
                    format!(
                        "no inherited socket is named \"{}\"; there are: {}",
                        name.escape_ascii(),
                        self.sockets.join(", ")
                    )
                }))
            }
        }
    }

    /// All descriptors, with commas between them.
    pub(super) fn all_descriptors(&self) -> String {
        let numbers: Vec<String> = (FIRST_SOCKET..).take(self.sockets.len()).map(|number| number.to_string()).collect();
        numbers.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let sockets = ["web".to_owned(), "admin".to_owned()];
        let filling = Filling { instance: 2, sockets: &sockets };
        filling.fill(OsStr::new(text)).map(|text| text.into_string().unwrap())
    }

    #[test]
    fn places_and_descriptors_are_filled_in() {
        assert_eq!(filled("--bind=fd://{fd} {fd:admin} app-{instance}").unwrap(), "--bind=fd://3 4 app-2");
        assert_eq!(Filling { instance: 0, sockets: &["a".into(), "b".into()] }.all_descriptors(), "3,4");
    }

    #[test]
    fn braces_of_the_program_stay() {
        for text in ["{\"a\":{}}", "{", "}{", "{{fd_x}", "a{b}c"] {
            assert_eq!(filled(text).unwrap(), text);
        }
        assert_eq!(filled("{\"fd\":{fd}}").unwrap(), "{\"fd\":3}");
    }

    #[test]
    fn a_socket_that_is_not_there_is_named() {
        assert!(filled("{fd:api}").unwrap_err().contains("there are: web, admin"));
        let nothing = Filling { instance: 0, sockets: &[] };
        assert!(nothing.fill(OsStr::new("{fd}")).unwrap_err().contains("address to listen on"));
    }
}

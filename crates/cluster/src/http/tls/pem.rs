//! Reads PEM files, and says where in them a mistake is.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::setting;
use crate::Error;

/// Most bytes of a file: chains have a few kilobytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Labels of the keys that we can read.
const KEY_LABELS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/// One `-----BEGIN …-----` to its `-----END …-----`.
struct Section<'a> {
    label: &'a str,
    /// Line of the beginning, from 1.
    line: usize,
    text: &'a str,
}

/// All certificates in the file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path, "certificate")?;
    let sections = sections(&text, path)?;
    let chain: Vec<_> = sections
        .iter()
        .filter(|section| section.label == "CERTIFICATE")
        .map(|section| {
            CertificateDer::from_pem_slice(section.text.as_bytes()).map_err(|error| bad(path, section, &error))
        })
        .collect::<Result<_, _>>()?;
    if chain.is_empty() {
        let found = labels(&sections);
        return Err(setting(format!("there is no certificate in {}: {found}", path.display())));
    }
    Ok(chain)
}

/// The first private key in the file.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(path, "private key")?;
    let sections = sections(&text, path)?;
    if let Some(section) = sections.iter().find(|section| KEY_LABELS.contains(&section.label)) {
        return PrivateKeyDer::from_pem_slice(section.text.as_bytes()).map_err(|error| bad(path, section, &error));
    }
    let path = path.display();
    Err(setting(match sections.iter().find(|section| section.label.contains("ENCRYPTED")) {
        Some(section) => format!(
            "the key in {path}, line {}, is encrypted: decrypt it first (openssl pkey -in … -out …)",
            section.line
        ),
        None => format!("there is no private key in {path}: {}", labels(&sections)),
    }))
}

fn read(path: &Path, what: &str) -> Result<String, Error> {
    let cannot = |why: String| setting(format!("cannot read the {what} {}: {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| cannot(error.to_string()))?.len();
    if size > MAX_FILE {
        return Err(cannot(format!("it has {size} bytes, and {MAX_FILE} is the most that is plausible")));
    }
    let bytes = std::fs::read(path).map_err(|error| cannot(error.to_string()))?;
    String::from_utf8(bytes)
        .map_err(|_| cannot("it is not PEM but binary, perhaps DER; convert it (openssl x509 -inform der …)".into()))
}

/// Splits a file; text between sections is a comment.
fn sections<'a>(text: &'a str, path: &Path) -> Result<Vec<Section<'a>>, Error> {
    let mut sections = Vec::new();
    let mut open: Option<(&str, usize, usize)> = None;
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        let (begin, end) = (marker(line, "-----BEGIN "), marker(line, "-----END "));
        match (open, begin, end) {
            (None, Some(label), _) => open = Some((label, number, offset)),
            (Some((label, line, start)), _, Some(ending)) if ending == label => {
                sections.push(Section {
                    label,
                    line,
                    text: &text[start..offset + text[offset..].len().min(line_len(text, offset))],
                });
                open = None;
            }
            (Some((label, began, _)), Some(_), _) | (Some((label, began, _)), _, Some(_)) => {
                return Err(unfinished(path, label, began, number));
            }
            _ => {}
        }
        offset += line.len();
    }
    match open {
        Some((label, began, _)) => Err(unfinished(path, label, began, text.lines().count())),
        None => Ok(sections),
    }
}

/// Length of the line that begins at `offset`.
fn line_len(text: &str, offset: usize) -> usize {
    text[offset..].find('\n').map_or(text.len() - offset, |end| end + 1)
}

fn marker<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    line.trim_end().strip_prefix(prefix)?.strip_suffix("-----")
}

fn unfinished(path: &Path, label: &str, began: usize, line: usize) -> Error {
    let path = path.display();
    setting(format!(
        "{path}, line {line}: the {label} that begins in line {began} has no end: the file is cut off or mixed up"
    ))
}

fn bad(path: &Path, section: &Section<'_>, error: &rustls::pki_types::pem::Error) -> Error {
    let Section { label, line, .. } = section;
    setting(format!("{}, line {line}: the {label} that begins here is damaged ({error})", path.display()))
}

fn labels(sections: &[Section<'_>]) -> String {
    match sections {
        [] => "it has no line with -----BEGIN …-----, so it is not PEM".into(),
        some => {
            let labels: Vec<&str> = some.iter().map(|section| section.label).collect();
            format!("it holds {}", labels.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn refused<T>(read: fn(&Path) -> Result<T, Error>, text: &str) -> String {
        let file = file(text);
        let error = read(file.path()).err().unwrap();
        assert_eq!(error.exit_code(), 64);
        let error = error.to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
        error
    }

    const PART: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_chain_may_have_comments_and_windows_line_ends() {
        let text = format!("subject: a\r\n{}\r\nissuer\r\n{PART}", PART.replace('\n', "\r\n"));
        assert_eq!(certificates(file(&text).path()).unwrap().len(), 2);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let error =
            refused(certificates, &format!("{PART}\n-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n"));
        assert!(error.contains("line 5"), "{error}");
        let error = refused(certificates, &format!("{PART}-----BEGIN CERTIFICATE-----\nAAAA\n"));
        assert!(error.contains("begins in line 4 has no end"), "{error}");
        assert!(refused(certificates, "").contains("not PEM"));
        assert!(refused(private_key, PART).contains("it holds CERTIFICATE"));
        let encrypted = PART.replace("CERTIFICATE", "ENCRYPTED PRIVATE KEY");
        assert!(refused(private_key, &encrypted).contains("is encrypted"));
    }

    #[test]
    fn a_file_that_is_not_there_or_binary_is_said() {
        let error = certificates(Path::new("/nowhere/chain.pem")).unwrap_err().to_string();
        assert!(error.contains("cannot read the certificate /nowhere/chain.pem: No such file"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0x30, 0x82, 0xff]).unwrap();
        assert!(certificates(file.path()).unwrap_err().to_string().contains("perhaps DER"));
    }
}

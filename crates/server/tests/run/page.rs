//! The page `docs/run.md` as a test sees it: headings, fenced blocks, and the comments before them that say what to do with each.
//!
//! | comment before a block | what is done with it |
//! |---|---|
//! | `<!-- book: file NAME -->` | it is written into the folder of its heading, under this name |
//! | `<!-- book: serve PORT -->` | it is run, has to answer on this port, and runs on until the next one |
//! | `<!-- book: serve -->` | the same without a port: it has to open its control socket |
//! | `<!-- book: serve PORT, needs PROGRAM -->` | the same if that program is installed |
//! | `<!-- book: then -->` | it is run to its end beside the one that runs, and has to succeed |
//! | `<!-- book: alone -->`, `<!-- book: alone PORT -->` | the one that runs is ended, and it is run to its end |
//! | `<!-- book: not run, WHY -->` | nothing |

const MARK: &str = "<!-- book: ";
const END_OF_MARK: &str = " -->";
const FENCE: &str = "```";

/// What is done with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    File(String),
    Serve { port: Option<u16>, needs: Option<String> },
    Then,
    Alone { port: Option<u16> },
    NotRun,
}

impl Mark {
    fn parse(line: &str) -> Option<Mark> {
        let words = line.strip_prefix(MARK)?.strip_suffix(END_OF_MARK)?;
        let (what, needs) = match words.split_once(", needs ") {
            Some((what, program)) => (what, Some(program.to_owned())),
            None => (words, None),
        };
        match what.split_once(' ').unwrap_or((what, "")) {
            ("file", name) => Some(Mark::File(name.to_owned())),
            ("serve", "") => Some(Mark::Serve { port: None, needs }),
            ("serve", port) => Some(Mark::Serve { port: Some(port.parse().ok()?), needs }),
            ("then", "") => Some(Mark::Then),
            ("alone", "") => Some(Mark::Alone { port: None }),
            ("alone", port) => Some(Mark::Alone { port: Some(port.parse().ok()?) }),
            ("not", _) => Some(Mark::NotRun),
            _ => None,
        }
    }
}

/// What stands between two fences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it begins in the page.
    pub(crate) line: usize,
    pub(crate) heading: String,
    pub(crate) language: String,
    pub(crate) text: String,
    pub(crate) mark: Option<Mark>,
}

/// All blocks of the page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut heading = String::new();
    let mut mark = None;
    let mut open: Option<Block> = None;
    for (index, line) in page.lines().enumerate() {
        match &mut open {
            Some(block) if line == FENCE => {
                found.push(block.clone());
                open = None;
            }
            Some(block) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {
                if let Some(language) = line.strip_prefix(FENCE) {
                    let (line, language) = (index + 1, language.to_owned());
                    let (heading, mark) = (heading.clone(), mark.take());
                    open = Some(Block { line, heading, language, text: String::new(), mark });
                } else if line.starts_with(MARK) {
                    let parsed = Mark::parse(line);
                    mark = Some(parsed.unwrap_or_else(|| panic!("line {}: what does {line:?} mean?", index + 1)));
                } else if let Some(title) = line.strip_prefix('#') {
                    heading = title.trim_start_matches('#').trim().to_owned();
                } else if !line.is_empty() {
                    assert!(mark.is_none(), "line {}: a comment of the book stands before no block", index);
                }
            }
        }
    }
    assert!(open.is_none(), "the last block has no end");
    found
}

#[test]
fn marks_belong_to_the_block_after_them() {
    let page = "# A\ntext\n\n<!-- book: serve 80, needs go -->\n```sh\nphalanx\n```\n## B\n```js\nlet a\n```\n";
    let found = blocks(page);
    assert_eq!((found[0].line, found[0].heading.as_str(), found[0].text.as_str()), (5, "A", "phalanx\n"));
    assert_eq!(found[0].mark, Some(Mark::Serve { port: Some(80), needs: Some("go".into()) }));
    assert_eq!((found[1].heading.as_str(), found[1].language.as_str(), &found[1].mark), ("B", "js", &None));
}

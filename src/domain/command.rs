//! Commands that people give in comments: `/modelship run`.
//!
//! A command counts only in a comment's own words: quotes, code, HTML comments, folded details, lists and links are other
//! people's words or examples, and so is what an answer by mail repeats. A Markdown parser tells them apart, so what counts
//! here is what a reader sees as plain text. Who may give a command is not decided here.

mod mail;

use std::fmt;

use pulldown_cmark::{Event, Options, Parser, Tag};
use serde::{Deserialize, Serialize};

use super::ids::{ChannelName, CommitSha, ModelName, SweepName};

/// A command that somebody gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Start a planned sweep, or every planned one.
    Run {
        /// Which; none means all.
        sweep: Option<SweepName>,
    },
    /// Plan again.
    Plan {
        /// Which; none means all.
        sweep: Option<SweepName>,
    },
    /// Stop.
    Cancel {
        /// Which; none means all.
        sweep: Option<SweepName>,
    },
    /// Do the failed and missing runs again.
    Retry {
        /// Which; none means all.
        sweep: Option<SweepName>,
    },
    /// Run the pull request's own version of its models and the base's, and say how they differ.
    Compare {
        /// Which sweep; none means all.
        sweep: Option<SweepName>,
    },
    /// Let this commit of a fork be built and run.
    Approve {
        /// The commit, whole: a shortened one could be made to fit another.
        commit: CommitSha,
    },
    /// Show the end of what a run printed.
    Logs {
        /// The run's id, or at least four characters of its beginning.
        run: String,
    },
    /// Move a channel of a model.
    Promote {
        /// The model.
        model: ModelName,
        /// The channel.
        channel: ChannelName,
        /// Where to.
        to: PromoteTo,
    },
    /// Tell how things stand.
    Status,
    /// List the commands.
    Help,
    /// A line that begins like a command and is none.
    Unknown {
        /// What was typed after `/modelship`, at most 80 characters.
        text: String,
        /// The command that was probably meant.
        suggestion: Option<String>,
    },
}

/// Where a channel is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromoteTo {
    /// The pull request's own version.
    Own,
    /// Where the channel pointed before its last move.
    Previous,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, sweep) = match self {
            Self::Run { sweep } => ("run", sweep.as_ref()),
            Self::Plan { sweep } => ("plan", sweep.as_ref()),
            Self::Cancel { sweep } => ("cancel", sweep.as_ref()),
            Self::Retry { sweep } => ("retry", sweep.as_ref()),
            Self::Compare { sweep } => ("compare", sweep.as_ref()),
            Self::Approve { commit } => return write!(f, "approve {commit}"),
            Self::Logs { run } => return write!(f, "logs {run}"),
            Self::Promote { model, channel, to } => {
                let back = if *to == PromoteTo::Previous { " back" } else { "" };
                return write!(f, "promote {model} {channel}{back}");
            }
            Self::Status => ("status", None),
            Self::Help => ("help", None),
            Self::Unknown { text, .. } => return write!(f, "{text}"),
        };
        match sweep {
            Some(sweep) => write!(f, "{word} {sweep}"),
            None => f.write_str(word),
        }
    }
}

/// What a command line begins with.
pub const PREFIX: &str = "/modelship";

/// How many commands of one comment are looked at; the rest is ignored.
pub const MOST_COMMANDS: usize = 10;

/// How many characters of an unknown command are kept.
const UNKNOWN_LENGTH: usize = 80;

/// Every verb, for suggestions.
const VERBS: [&str; 10] = ["run", "plan", "cancel", "retry", "compare", "approve", "logs", "promote", "status", "help"];

/// Words that people try, and the verb that they mean.
const SYNONYMS: [(&str, &str); 13] = [
    ("log", "logs"),
    ("ok-to-test", "approve"),
    ("start", "run"),
    ("go", "run"),
    ("sweep", "run"),
    ("stop", "cancel"),
    ("abort", "cancel"),
    ("rerun", "retry"),
    ("replan", "plan"),
    ("state", "status"),
    ("diff", "compare"),
    ("deploy", "promote"),
    ("release", "promote"),
];

/// HTML elements whose content is not the comment's own words.
const FOREIGN_ELEMENTS: [&str; 12] =
    ["details", "blockquote", "pre", "code", "table", "ul", "ol", "dl", "del", "template", "textarea", "script"];

impl Command {
    /// The commands in the comment `body`, in order; at most [`MOST_COMMANDS`].
    ///
    /// A command is a line of a top-level paragraph that begins with `/modelship`. The verb's case does not matter. The
    /// bare prefix asks for help.
    #[must_use]
    pub fn parse_comment(body: &str) -> Vec<Self> {
        own_lines(body).into_iter().filter_map(command_text).map(parse_command).take(MOST_COMMANDS).collect()
    }
}

/// The lines of the comment's own top-level paragraphs that begin with plain text, from that text to the line's end.
fn own_lines(body: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut block = Block::Other;
    let mut depth = 0_usize;
    let mut at_line_start = false;
    let mut html = String::new();
    let mut foreign = ForeignElements::default();
    let own = mail::own_part(body);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
    for (event, range) in Parser::new_ext(body, options).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if depth == 0 {
                    block = match tag {
                        Tag::Paragraph | Tag::Heading { .. } => Block::Prose,
                        Tag::HtmlBlock => Block::Html,
                        _ => Block::Other,
                    };
                    html.clear();
                }
                at_line_start = depth == 0 && block == Block::Prose;
                depth += 1;
            }
            Event::End(_) => {
                depth -= 1;
                at_line_start = false;
                if depth == 0 && block == Block::Html {
                    foreign.read(&html);
                }
            }
            Event::SoftBreak | Event::HardBreak => at_line_start = depth == 1 && block == Block::Prose,
            Event::Html(text) if block == Block::Html => html.push_str(&text),
            Event::InlineHtml(text) if block == Block::Prose => {
                foreign.read(&text);
                at_line_start = false;
            }
            Event::Text(_) if at_line_start => {
                at_line_start = false;
                if foreign.none_open() && range.start < own {
                    lines.extend(line_from(body, range.start));
                }
            }
            _ => at_line_start = false,
        }
    }
    lines
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Prose,
    Html,
    Other,
}

/// The source line from `start` on, when nothing but blanks stands before it.
fn line_from(body: &str, start: usize) -> Option<&str> {
    let before = &body[..start];
    let line_start = before.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    if !before[line_start..].chars().all(char::is_whitespace) {
        return None;
    }
    body[start..].split(['\n', '\r']).next()
}

/// Which of [`FOREIGN_ELEMENTS`] are open; Markdown between two HTML blocks lies within them.
#[derive(Default)]
struct ForeignElements {
    open: Vec<&'static str>,
}

impl ForeignElements {
    fn none_open(&self) -> bool {
        self.open.is_empty()
    }

    /// Follows the tags of a piece of HTML. HTML comments are skipped.
    fn read(&mut self, html: &str) {
        let mut rest = html;
        while let Some(start) = rest.find('<') {
            rest = &rest[start + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
                continue;
            }
            let (closing, tag) = match rest.strip_prefix('/') {
                Some(tag) => (true, tag),
                None => (false, rest),
            };
            let name_length = tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len());
            let name = &tag[..name_length];
            let Some(element) = FOREIGN_ELEMENTS.into_iter().find(|element| element.eq_ignore_ascii_case(name)) else {
                continue;
            };
            if !closing {
                self.open.push(element);
            } else if let Some(position) = self.open.iter().rposition(|open| *open == element) {
                self.open.truncate(position);
            }
        }
    }
}

/// What stands after the prefix, when `line` begins with it.
fn command_text(line: &str) -> Option<&str> {
    let head = line.get(..PREFIX.len())?;
    let rest = &line[PREFIX.len()..];
    let ends = rest.chars().next().is_none_or(char::is_whitespace);
    (head.eq_ignore_ascii_case(PREFIX) && ends).then_some(rest)
}

fn parse_command(text: &str) -> Command {
    let words: Vec<&str> = text.split_whitespace().collect();
    let Some((typed, arguments)) = words.split_first() else {
        return Command::Help;
    };
    let verb = typed.to_lowercase();
    let known = VERBS.into_iter().find(|known| *known == verb);
    let sweep = match arguments {
        [] => Ok(None),
        [name] => SweepName::parse(*name).map(Some).map_err(|_| ()),
        _ => Err(()),
    };
    match (known, sweep) {
        (Some("run"), Ok(sweep)) => Command::Run { sweep },
        (Some("plan"), Ok(sweep)) => Command::Plan { sweep },
        (Some("cancel"), Ok(sweep)) => Command::Cancel { sweep },
        (Some("retry"), Ok(sweep)) => Command::Retry { sweep },
        (Some("compare"), Ok(sweep)) => Command::Compare { sweep },
        (Some("approve"), _) if let Some(commit) = only(arguments).and_then(|it| CommitSha::parse(it).ok()) => {
            Command::Approve { commit }
        }
        (Some("logs"), _) if let Some(run) = only(arguments).filter(|it| is_run(it)) => {
            Command::Logs { run: run.to_ascii_lowercase() }
        }
        (Some("promote"), _) if let Some(promote) = promotion(arguments) => promote,
        (Some("status"), Ok(None)) => Command::Status,
        (Some("help"), Ok(None)) => Command::Help,
        _ => Command::Unknown {
            text: words.join(" ").chars().take(UNKNOWN_LENGTH).collect(),
            suggestion: nearest_verb(&verb).map(|verb| suggestion(verb, arguments)),
        },
    }
}

fn only<'a>(arguments: &[&'a str]) -> Option<&'a str> {
    if let [only] = arguments { Some(only) } else { None }
}

/// Whether a run's id can begin like that.
fn is_run(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `promote MODEL CHANNEL`, perhaps followed by `back`.
fn promotion(arguments: &[&str]) -> Option<Command> {
    let (model, channel, to) = match arguments {
        [model, channel] => (model, channel, PromoteTo::Own),
        [model, channel, "back" | "--back"] => (model, channel, PromoteTo::Previous),
        _ => return None,
    };
    Some(Command::Promote { model: ModelName::parse(model).ok()?, channel: ChannelName::parse(*channel).ok()?, to })
}

/// The verb that was probably meant.
fn nearest_verb(typed: &str) -> Option<&'static str> {
    if let Some((_, verb)) = SYNONYMS.into_iter().find(|(word, _)| *word == typed) {
        return Some(verb);
    }
    if typed.len() > 20 {
        return None;
    }
    let (distance, verb) = VERBS.into_iter().map(|verb| (strsim::damerau_levenshtein(typed, verb), verb)).min()?;
    (distance <= 2 && distance * 2 <= verb.len()).then_some(verb)
}

/// `verb` with the first argument that can be a sweep's name, where the verb takes one.
fn suggestion(verb: &str, arguments: &[&str]) -> String {
    match verb {
        "status" | "help" => return verb.to_owned(),
        "logs" => return "logs RUN".to_owned(),
        "approve" => return "approve COMMIT, with all 40 characters of the commit".to_owned(),
        _ => {}
    }
    if verb == "promote" {
        let model = arguments.iter().find(|word| ModelName::parse(word).is_ok()).copied();
        let mut channels = arguments.iter().filter(|word| !word.contains('/') && ChannelName::parse(**word).is_ok());
        // A model without its owner looks like a channel, and stands first.
        let channel = if model.is_some() { channels.next() } else { channels.next_back() };
        let (model, channel) = (model.unwrap_or("OWNER/TITLE"), channel.copied().unwrap_or("production"));
        return format!("promote {model} {channel}");
    }
    let name = arguments
        .iter()
        .find_map(|word| SweepName::parse(word.trim_matches(|c: char| !c.is_ascii_alphanumeric())).ok());
    match name {
        Some(name) => format!("{verb} {name}"),
        None => verb.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[&str]) {
        let found: Vec<String> = Command::parse_comment(body).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "in {body:?}");
        let unknown = Command::parse_comment(body).into_iter().find(|found| matches!(found, Command::Unknown { .. }));
        assert_eq!(unknown, None, "in {body:?}");
    }

    fn check_unknown(body: &str, text: &str, suggestion: Option<&str>) {
        let expected = Command::Unknown { text: text.to_owned(), suggestion: suggestion.map(str::to_owned) };
        assert_eq!(Command::parse_comment(body), [expected], "in {body:?}");
    }

    #[test]
    fn every_command_is_understood() {
        check("/modelship run", &["run"]);
        check("/modelship run standard-deduction", &["run standard-deduction"]);
        check("/modelship plan top_rate.v2", &["plan top_rate.v2"]);
        check("/modelship cancel", &["cancel"]);
        check("/modelship retry standard-deduction", &["retry standard-deduction"]);
        check("/modelship compare", &["compare"]);
        check("/modelship compare tests", &["compare tests"]);
        check("/modelship promote urban/simple-tax production", &["promote urban/simple-tax production"]);
        check("/modelship promote urban/simple-tax staging back", &["promote urban/simple-tax staging back"]);
        check("/modelship promote urban/simple-tax staging --back", &["promote urban/simple-tax staging back"]);
        check("/modelship status", &["status"]);
        check("/modelship help", &["help"]);
        let commit = "0a".repeat(20);
        check(&format!("/modelship approve {commit}"), &[&format!("approve {commit}")]);
        check("/modelship logs 12AB", &["logs 12ab"]);
        for verb in VERBS.into_iter().filter(|verb| !matches!(*verb, "approve" | "logs" | "promote")) {
            check(&format!("{PREFIX} {verb}"), &[verb]);
        }
    }

    #[test]
    fn a_commit_is_approved_whole_or_not_at_all() {
        let advice = Some("approve COMMIT, with all 40 characters of the commit");
        check_unknown("/modelship approve", "approve", advice);
        check_unknown("/modelship approve 0a0a0a0", "approve 0a0a0a0", advice);
        check_unknown("/modelship logs ../x", "logs ../x", Some("logs RUN"));
    }

    #[test]
    fn case_blanks_and_line_ends_do_not_matter() {
        check("/ModelShip RUN", &["run"]);
        check("   /modelship \t run   standard-deduction  ", &["run standard-deduction"]);
        check("/modelship run\r\n/modelship status\r\n", &["run", "status"]);
        check("/modelship", &["help"]);
    }

    #[test]
    fn commands_stand_among_other_words() {
        check("Looks good to me!\n\n/modelship run\n\nThanks.", &["run"]);
        check("Looks good:\n/modelship run a\n/modelship run b\nThanks.", &["run a", "run b"]);
        check("/modelship run\n--\nAda, Ministry of Numbers", &["run"]);
        check("<!-- a template's comment -->\n\n/modelship run", &["run"]);
        check("<details>\n\nlong text\n\n</details>\n\n/modelship run", &["run"]);
        check("> shall we?\n\n/modelship run", &["run"]);
    }

    #[test]
    fn quotes_code_and_folded_text_are_not_the_authors_own_words() {
        check("> /modelship run", &[]);
        check("> quoted\n/modelship run continues the quote", &[]);
        check("```\n/modelship run\n```", &[]);
        check("~~~\n/modelship run", &[]);
        check("text\n\n    /modelship run", &[]);
        check("`/modelship run`", &[]);
        check("`code\n/modelship run`", &[]);
        check("<!--\n/modelship run\n-->", &[]);
        check("<!-- open\n\n/modelship run", &[]);
        check("text <!--\n/modelship run\n-->", &[]);
        check("<details>\n/modelship run\n</details>", &[]);
        check("<details><summary>log</summary>\n\n/modelship run\n\n</details>", &[]);
        check("<DETAILS open>\n<details>\n</details>\n\n/modelship run", &[]);
        check("<blockquote>\n\n/modelship run\n\n</blockquote>", &[]);
        check("<details>\n\n<!-- </details> -->\n\n/modelship run", &[]);
        check("[/modelship run](https://example.org)", &[]);
        check("[a\n/modelship run](https://example.org)", &[]);
        check("- /modelship run", &[]);
        check("1. /modelship run", &[]);
        check("| a |\n|---|\n| /modelship run |", &[]);
        check("**/modelship run**", &[]);
        check("~~/modelship run~~", &[]);
        check("# /modelship run", &[]);
    }

    #[test]
    fn what_an_answer_by_mail_repeats_is_not_its_authors_own_word() {
        let mail = "Not yet.\n\n-----Original Message-----\nFrom: Eve <notifications@github.com>\n\n/modelship run\n";
        check(mail, &[]);
        check("/modelship plan\n\nOn Saturday Eve <notifications@github.com> wrote:\n/modelship run\n", &["plan"]);
        // What is marked may be a quote that the repeated comment itself began with.
        check("On Saturday Eve <notifications@github.com> wrote:\n> shall we?\n\n/modelship run\n", &[]);
        check("> shall we?\n\n/modelship run\n", &["run"]);
    }

    #[test]
    fn what_only_looks_like_the_prefix_is_none() {
        check("please /modelship run", &[]);
        check("/modelships run", &[]);
        check("/modelship-run", &[]);
        check("/model", &[]);
        check("\\/modelship run", &[]);
        check("&#47;modelship run", &[]);
        check("//modelship run", &[]);
        check("", &[]);
        check("/modelshi\u{e9} run", &[]);
    }

    #[test]
    fn mistyped_verbs_get_a_suggestion() {
        check_unknown("/modelship rnu", "rnu", Some("run"));
        check_unknown(
            "/modelship Cancle standard-deduction",
            "Cancle standard-deduction",
            Some("cancel standard-deduction"),
        );
        check_unknown("/modelship stop", "stop", Some("cancel"));
        check_unknown("/modelship diff tests", "diff tests", Some("compare tests"));
        check_unknown("/modelship promote", "promote", Some("promote OWNER/TITLE production"));
        check_unknown("/modelship deploy staging", "deploy staging", Some("promote OWNER/TITLE staging"));
        check_unknown("/modelship promote tax prod", "promote tax prod", Some("promote OWNER/TITLE prod"));
        check_unknown("/modelship promote staging a/b", "promote staging a/b", Some("promote a/b staging"));
        check_unknown("/modelship frobnicate", "frobnicate", None);
        check_unknown("/modelship xx", "xx", None);
    }

    #[test]
    fn extra_words_are_never_ignored() {
        check_unknown("/modelship run all of it", "run all of it", Some("run all"));
        check_unknown("/modelship run `top-rate`", "run `top-rate`", Some("run top-rate"));
        check_unknown("/modelship run top-rate.", "run top-rate.", Some("run top-rate"));
        check_unknown("/modelship status now", "status now", Some("status"));
        check_unknown("/modelship run ../../etc", "run ../../etc", Some("run etc"));
    }

    #[test]
    fn unknown_text_and_the_number_of_commands_are_bounded() {
        let long = format!("/modelship {}", "\u{1F600}".repeat(5_000));
        let [Command::Unknown { text, suggestion: None }] = &Command::parse_comment(&long)[..] else {
            panic!("one unknown command");
        };
        assert_eq!(text.chars().count(), UNKNOWN_LENGTH);
        assert_eq!(Command::parse_comment(&"/modelship run\n".repeat(200)).len(), MOST_COMMANDS);
    }
}

//! Where a mail that answers a notification begins to repeat what it answers.
//!
//! Whoever answers by mail sends the whole mail, and not every program marks what it repeats with `>`. What follows such a
//! mark is somebody else's word: often a command that its author may not give, or one that our own comment shows.

/// How many lines of the form `Word: text` stand at least above a mail that is repeated.
const FEWEST_FIELDS: usize = 3;

/// The byte of `body` from which on a mail is repeated without `>`; the length of `body` when there is none.
pub(super) fn own_part(body: &str) -> usize {
    let lines: Vec<&str> = body.split_inclusive('\n').flat_map(|line| line.split_inclusive('\r')).collect();
    let mut at = 0;
    for (nth, line) in lines.iter().enumerate() {
        let rest = &lines[nth..];
        if is_separator(line) || is_head(rest) || is_attribution(rest) {
            return at;
        }
        at += line.len();
    }
    at
}

/// `-----Original Message-----`, in any language.
fn is_separator(line: &str) -> bool {
    let Some(inner) = line.trim().strip_prefix("-----").and_then(|rest| rest.strip_suffix("-----")) else {
        return false;
    };
    let words = inner.trim_matches('-');
    !words.is_empty() && words.chars().all(|c| c.is_alphabetic() || c == ' ') && words != " "
}

/// The fields above a mail: `From: Eve`, `Sent: ...`, `To: ...`; in any language where one of them holds an address.
fn is_head(lines: &[&str]) -> bool {
    let fields: Vec<_> = lines.iter().map_while(|line| field(line)).take(FEWEST_FIELDS).collect();
    let words: Vec<&str> = fields.iter().map(|(word, _)| word.as_str()).collect();
    fields.len() == FEWEST_FIELDS
        && (matches!(words[..], ["From", "Sent" | "Date", _]) || fields.iter().any(|(_, text)| names_somebody(text)))
}

/// A `Word: text`, which may be bold.
fn field(line: &str) -> Option<(String, String)> {
    let plain = line.replace('*', "");
    let (word, text) = plain.split_once(':')?;
    let (word, text) = (word.trim(), text.trim());
    let is_word = (1..=20).contains(&word.chars().count()) && word.chars().all(char::is_alphabetic);
    (is_word && !text.is_empty()).then(|| (word.to_owned(), text.to_owned()))
}

/// `On Saturday Eve <notifications@github.com> wrote:`, in one line or two. What follows may be marked with `>` or not, and
/// what is marked may be a quote that the repeated text had itself; so nothing after it counts.
fn is_attribution(lines: &[&str]) -> bool {
    let whole = |text: &str| {
        let text = text.trim();
        let in_english = text.starts_with("On ") && text.ends_with(" wrote:");
        text.ends_with(':') && (in_english || names_somebody(text))
    };
    let begins = |line: &str| line.starts_with("On ") || names_somebody(line);
    match lines {
        [first, ..] if whole(first) => true,
        [first, second, ..] => begins(first) && whole(&format!("{} {}", first.trim(), second.trim())),
        _ => false,
    }
}

/// Whether it holds an address as mails write it: `<eve@example.org>`.
fn names_somebody(text: &str) -> bool {
    let mut parts = text.split('<').skip(1).filter_map(|part| part.split_once('>'));
    parts.any(|(address, _)| address.contains('@') && !address.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(body: &str) -> &str {
        &body[..own_part(body)]
    }

    #[test]
    fn what_a_mail_repeats_without_marks_is_not_its_authors() {
        for said in [
            "On Sat, Nov 21, 2026 at 10:00 AM Eve <notifications@github.com> wrote:\n\n/modelship run\n",
            "On Sat, Nov 21, 2026 at 10:00 AM Eve <notifications@github.com>\nwrote:\n\n/modelship run\n",
            "On 21 Nov 2026, at 10:00, Eve wrote:\r\n/modelship run\r\n",
            "On Saturday Eve wrote:\n\n> shall we?\n\n/modelship run\n",
            "Am 21.11.2026 um 10:00 schrieb Eve <notifications@github.com>:\n/modelship run\n",
            "Le sam. 21 nov. 2026 à 10:00, Eve <notifications@github.com> a\nécrit :\n\n/modelship run\n",
            "-----Original Message-----\nFrom: Eve\n\n/modelship run\n",
            "-----Ursprüngliche Nachricht-----\n/modelship run\n",
            "---------- Forwarded message ---------\n/modelship run\n",
            "________________________________\nFrom: Eve <notifications@github.com>\nSent: Saturday\nTo: urban/hub\nSubject: Re: [urban/hub] A sweep (#1)\n\n/modelship run\n",
            "From: Eve\nSent: Saturday\nTo: urban/hub\n\n/modelship run\n",
            "**Von:** Eve <notifications@github.com>\n**Gesendet:** Samstag\n**An:** urban/hub\n\n/modelship run\n",
            "*From: *Eve <notifications@github.com>\n*Date: *Saturday\n*To: *urban/hub <hub@noreply.github.com>\n/modelship run\n",
        ] {
            let body = format!("No, please not.\n\n{said}");
            let left = own(&body);
            assert!(left.starts_with("No, please not.\n") && !left.contains("/modelship"), "{body:?}: {left:?}");
        }
    }

    #[test]
    fn what_stands_before_or_between_is_its_authors() {
        for body in [
            "/modelship run\n",
            "On the whole:\n/modelship run\n",
            "Note: this takes an hour\nCost: 3 USD\nReviewer: @ada\n/modelship run\n",
            "From: staging\nTo: production\nReviewer: @ada\n\n/modelship run\n",
            "Cc: Ada <ada@example.org>\n\n/modelship run\n",
            "Thanks: @eve\n\n/modelship run\n",
            "-----\n/modelship run\n",
            "----- -----\n/modelship run\n",
            "| a | b |\n|-----|-----|\n\n/modelship run\n",
            "",
            "\r\r\n",
        ] {
            assert_eq!(own(body), body);
        }
        let body = "/modelship run\n\nOn Saturday Eve wrote:\n\nshall we?\n";
        assert_eq!(own(body), "/modelship run\n\n");
    }
}

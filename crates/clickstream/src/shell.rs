//! Commands that are shown to be copied.

/// A command as it can be pasted into a shell, whatever its words are: some of them are what visitors sent.
pub fn line<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    words.join(" ")
}

/// An option with its value. A value that begins like an option itself is tied to its name.
pub fn option(name: &str, value: &str) -> String {
    if value.starts_with('-') {
        quoted(&format!("{name}={value}"))
    } else {
        format!("{name} {}", quoted(value))
    }
}

fn quoted(word: &str) -> String {
    // a shell knows no NUL, and a terminal obeys control characters
    let shown: String = word.chars().map(|c| if c.is_control() { '�' } else { c }).collect();
    shlex::try_quote(&shown).map_or_else(|_| "…".to_owned(), Into::into)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_visitors_send_is_one_word() {
        let site = option("--site", "$(touch /tmp/pwn)");
        assert_eq!(
            line(["clickstream", "explain", "--page", "/a'b; `x`"]) + " " + &site,
            "clickstream explain --page \"/a'b; \"'`x`' --site '$(touch /tmp/pwn)'"
        );
        assert_eq!(option("--user", "-x y"), "'--user=-x y'");
        assert_eq!(option("--user", "u\0\u{1b}[31m"), "--user 'u��[31m'");
        assert_eq!(line(["--window", "1h", "--slide", "1m 30s"]), "--window 1h --slide '1m 30s'");
    }

    proptest! {
        #[test]
        fn a_shell_reads_the_words_back(words in prop::collection::vec("\\PC{1,12}", 1..5)) {
            let read = shlex::split(&line(words.iter().map(String::as_str)));
            prop_assert_eq!(read, Some(words));
        }
    }
}

//! A command in a setting.

use std::str::FromStr;

/// A command and its arguments, run without a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(Vec<String>);

impl CommandLine {
    /// The program and its arguments.
    pub fn program_and_arguments(&self) -> (&str, &[String]) {
        // Parsing refuses a command without a program.
        self.0.split_first().map_or(("", &[]), |(program, arguments)| (program, arguments))
    }
}

impl FromStr for CommandLine {
    type Err = String;

    /// Splits at blanks. Single or double quotes keep blanks within a word.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in text.chars() {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '\'' | '"') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, c) if c.is_whitespace() => words.extend(word.take()),
                (_, c) => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        if quote.is_some() {
            Err("a quote is not closed".into())
        } else if words.first().is_none_or(String::is_empty) {
            Err("the command is empty".into())
        } else {
            Ok(Self(words))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, String> {
        text.parse::<CommandLine>().map(|line| line.0)
    }

    #[test]
    fn a_command_is_split_without_a_shell() {
        assert_eq!(words(" sudo -n  nginx -s reload ").unwrap(), ["sudo", "-n", "nginx", "-s", "reload"]);
        assert_eq!(words("a 'b c' \"d'e\" f'g h'i ''").unwrap(), ["a", "b c", "d'e", "fg hi", ""]);
        assert_eq!(words("a;b $(c) | d").unwrap(), ["a;b", "$(c)", "|", "d"]);
        assert!(words("a 'b").is_err() && words(" ").is_err() && words("''").is_err());
    }
}

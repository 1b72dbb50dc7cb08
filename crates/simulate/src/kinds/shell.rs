//! A very small shell: what a short script in a container would do, where that can be known without running it.
//!
//! Words, variables of the container, `$(expr …)`, `if`, `&&`, `||`, tests of numbers, texts and files, and a handful
//! of commands. A script with anything else in it is not understood, which is an answer too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Most tokens that are looked at.
const MOST: usize = 10_000;

/// What a script sees and leaves.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    pub(crate) variables: BTreeMap<String, String>,
    /// Files that there are, by their whole path.
    pub(crate) files: BTreeSet<String>,
}

/// How a script ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) time: Duration,
    pub(crate) code: i64,
    /// It sleeps until it is told to stop.
    pub(crate) never: bool,
}

/// Runs a script, or answers nothing when it is not understood.
pub(crate) fn run(script: &str, scene: &mut Scene) -> Option<Ending> {
    let tokens = Lexer { rest: script.chars().peekable(), variables: &scene.variables }.all()?;
    if tokens.len() > MOST {
        return None;
    }
    let mut shell = Shell::new(tokens, scene);
    shell.list(&[], true)?;
    (shell.at == shell.tokens.len()).then_some(shell.ending)
}

/// Runs one command that is no script.
pub(crate) fn run_words(words: &[&str], scene: &mut Scene) -> Option<Ending> {
    let tokens = words.iter().map(|word| Token::Word((*word).to_owned())).collect();
    let mut shell = Shell::new(tokens, scene);
    shell.list(&[], true)?;
    Some(shell.ending)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// `;` or the end of a line.
    End,
    And,
    Or,
}

struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    variables: &'a BTreeMap<String, String>,
}

impl Lexer<'_> {
    fn all(mut self) -> Option<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut word: Option<String> = None;
        while let Some(letter) = self.rest.next() {
            let token = match letter {
                ' ' | '\t' => None,
                '\n' | ';' => Some(Token::End),
                '&' if self.rest.next_if_eq(&'&').is_some() => Some(Token::And),
                '|' if self.rest.next_if_eq(&'|').is_some() => Some(Token::Or),
                '#' if word.is_none() => {
                    while self.rest.next_if(|letter| *letter != '\n').is_some() {}
                    None
                }
                '\'' => {
                    let text = word.get_or_insert_default();
                    loop {
                        match self.rest.next()? {
                            '\'' => break,
                            letter => text.push(letter),
                        }
                    }
                    continue;
                }
                '"' => {
                    let mut text = word.take().unwrap_or_default();
                    loop {
                        match self.rest.next()? {
                            '"' => break,
                            '$' => text.push_str(&self.expansion()?),
                            '`' | '\\' => return None,
                            letter => text.push(letter),
                        }
                    }
                    word = Some(text);
                    continue;
                }
                '$' => {
                    let value = self.expansion()?;
                    word.get_or_insert_default().push_str(&value);
                    continue;
                }
                '|' | '&' | '<' | '>' | '(' | ')' | '{' | '}' | '`' | '\\' | '*' | '?' => return None,
                letter => {
                    word.get_or_insert_default().push(letter);
                    continue;
                }
            };
            tokens.extend(word.take().map(Token::Word));
            tokens.extend(token);
        }
        tokens.extend(word.map(Token::Word));
        Some(tokens)
    }

    /// What stands after a `$`.
    fn expansion(&mut self) -> Option<String> {
        if self.rest.next_if_eq(&'(').is_some() {
            let mut depth = 1;
            let mut inner = String::new();
            loop {
                let letter = self.rest.next()?;
                depth += i32::from(letter == '(') - i32::from(letter == ')');
                if depth == 0 {
                    break;
                }
                inner.push(letter);
            }
            let sum = inner.strip_prefix('(').and_then(|own| own.strip_suffix(')'));
            let text = sum.map(|own| format!("expr {own}")).unwrap_or(inner);
            let words = Lexer { rest: text.chars().peekable(), variables: self.variables }.all()?;
            let words: Option<Vec<String>> = words
                .into_iter()
                .map(|token| if let Token::Word(word) = token { Some(word) } else { None })
                .collect();
            return expr(&words?);
        }
        let braced = self.rest.next_if_eq(&'{').is_some();
        let mut name = String::new();
        while let Some(letter) = self.rest.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
        {
            name.push(letter);
        }
        if braced && self.rest.next() != Some('}') {
            return None;
        }
        self.variables.get(&name).cloned()
    }
}

/// `expr A OP B`.
fn expr(words: &[String]) -> Option<String> {
    let [program, a, operator, b] = words else { return None };
    let (a, b) = (a.parse::<i64>().ok()?, b.parse::<i64>().ok()?);
    let value = match operator.as_str() {
        "+" => a.checked_add(b),
        "-" => a.checked_sub(b),
        "/" => a.checked_div(b),
        "%" => a.checked_rem(b),
        _ => None,
    }?;
    (program == "expr").then(|| value.to_string())
}

struct Shell<'a> {
    tokens: Vec<Token>,
    at: usize,
    scene: &'a mut Scene,
    ending: Ending,
    /// `exit` was met, or a sleep without end.
    over: bool,
}

impl<'a> Shell<'a> {
    fn new(tokens: Vec<Token>, scene: &'a mut Scene) -> Shell<'a> {
        let ending = Ending { time: Duration::ZERO, code: 0, never: false };
        Shell { tokens, at: 0, scene, ending, over: false }
    }

    fn word(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn expect(&mut self, keyword: &str) -> Option<()> {
        while self.tokens.get(self.at) == Some(&Token::End) {
            self.at += 1;
        }
        (self.word()? == keyword).then(|| self.at += 1)
    }

    /// Commands up to one of these keywords, which stays.
    fn list(&mut self, until: &[&str], runs: bool) -> Option<()> {
        let mut wanted = true;
        loop {
            match self.tokens.get(self.at) {
                None => return Some(()),
                Some(Token::End) => {
                    self.at += 1;
                    wanted = true;
                }
                Some(Token::And) => {
                    self.at += 1;
                    wanted &= self.ending.code == 0;
                }
                Some(Token::Or) => {
                    self.at += 1;
                    wanted = self.ending.code != 0;
                }
                Some(Token::Word(word)) if until.contains(&word.as_str()) => return Some(()),
                Some(Token::Word(_)) => {
                    let runs = runs && wanted && !self.over;
                    self.command(runs)?;
                }
            }
        }
    }

    fn command(&mut self, runs: bool) -> Option<()> {
        if self.word() == Some("if") {
            self.at += 1;
            return self.branches(runs);
        }
        let mut words = Vec::new();
        while let Some(word) = self.word() {
            words.push(word.to_owned());
            self.at += 1;
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if runs {
            self.ending.code = self.simple(&words)?;
        }
        Some(())
    }

    fn branches(&mut self, runs: bool) -> Option<()> {
        let mut open = runs;
        loop {
            self.list(&["then"], open)?;
            self.expect("then")?;
            let taken = open && !self.over && self.ending.code == 0;
            self.list(&["elif", "else", "fi"], taken)?;
            open &= !taken;
            match self.word()? {
                "elif" => self.at += 1,
                "else" => {
                    self.at += 1;
                    self.list(&["fi"], open)?;
                    return self.expect("fi");
                }
                _ => return self.expect("fi"),
            }
        }
    }

    /// A command that is known, and its exit code.
    fn simple(&mut self, words: &[&str]) -> Option<i64> {
        let (program, arguments) = words.split_first()?;
        let name = program.rsplit('/').next().unwrap_or_default();
        match (name, arguments) {
            ("true" | ":" | "echo" | "date" | "set", _) => Some(0),
            ("false", _) => Some(1),
            ("sleep", ["inf" | "infinity"]) => {
                (self.over, self.ending.never) = (true, true);
                Some(0)
            }
            ("sleep", [time]) => {
                self.ending.time = self.ending.time.saturating_add(seconds(time)?);
                Some(0)
            }
            ("exit", []) => {
                self.over = true;
                Some(self.ending.code)
            }
            ("exit", [code]) => {
                let code = code.parse().ok()?;
                self.over = true;
                Some(code)
            }
            ("touch", files) => {
                self.scene.files.extend(files.iter().map(|file| (*file).to_owned()));
                Some(0)
            }
            ("cat", files) => Some(i64::from(!files.iter().all(|file| self.scene.files.contains(*file)))),
            ("test", rest) => self.test(rest).map(|holds| i64::from(!holds)),
            ("[", [rest @ .., "]"]) | ("[[", [rest @ .., "]]"]) => {
                self.test(rest).map(|holds| i64::from(!holds))
            }
            _ => None,
        }
    }

    fn test(&self, words: &[&str]) -> Option<bool> {
        let number = |text: &str| text.parse::<i64>().ok();
        match words {
            ["!", rest @ ..] => self.test(rest).map(|holds| !holds),
            ["-r" | "-e" | "-f" | "-s", file] => Some(self.scene.files.contains(*file)),
            ["-n", text] => Some(!text.is_empty()),
            ["-z", text] => Some(text.is_empty()),
            [a, "=" | "==", b] => Some(a == b),
            [a, "!=", b] => Some(a != b),
            [a, "-eq", b] => Some(number(a)? == number(b)?),
            [a, "-ne", b] => Some(number(a)? != number(b)?),
            [a, "-lt", b] => Some(number(a)? < number(b)?),
            [a, "-le", b] => Some(number(a)? <= number(b)?),
            [a, "-gt", b] => Some(number(a)? > number(b)?),
            [a, "-ge", b] => Some(number(a)? >= number(b)?),
            _ => None,
        }
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, text.chars().last()),
        None => (text, None),
    };
    let factor = match unit {
        Some('m') => 60.0,
        Some('h') => 3600.0,
        Some('d') => 86_400.0,
        _ => 1.0,
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts() {
        let variables = BTreeMap::from([("INDEX".to_owned(), "3".to_owned())]);
        let code = |script: &str, files: &[&str]| {
            let files = files.iter().map(|file| (*file).to_owned()).collect();
            run(script, &mut Scene { variables: variables.clone(), files }).map(|ending| ending.code)
        };
        let odd = "if [ $(expr ${INDEX} % 2) -ne 0 ]; then\n\texit 1\nelse\n\texit 0\nfi\n";
        assert_eq!(code(odd, &[]), Some(1));
        let once = "if [[ -r /data/$INDEX ]]\nthen\nexit 0\nelse\ntouch /data/$INDEX\nexit 42\nfi";
        assert_eq!(code(once, &[]), Some(42));
        assert_eq!(code(once, &["/data/3"]), Some(0));
        assert_eq!(code("false || exit 4; exit 5", &[]), Some(4));
        assert_eq!(code("true && false; echo \"$INDEX a\" # no\nexit", &[]), Some(0));
        assert_eq!(code("exit $(( $INDEX - 1 ))", &[]), Some(2));
        assert_eq!(code("if false; then exit 1; elif [ $INDEX = 3 ]; then exit 7; fi", &[]), Some(7));
        for unknown in [
            "curl x",
            "echo a | wc",
            "exit $NOT",
            "if true; then",
            "cat 'a",
            "a=1",
            "for i in 1 2; do x; done",
        ] {
            assert_eq!(code(unknown, &[]), None, "{unknown}");
        }
    }

    #[test]
    fn whatever_stands_there() {
        for script in [
            "$", "$(", "${", "$((", "if", "fi", "then", "&& ||", "[ ]", "[", "test", "! !", "exit x",
            "sleep -1",
        ] {
            let _ = run(script, &mut Scene::default());
        }
    }
}

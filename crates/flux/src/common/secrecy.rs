//! What was read from Secrets and must not be told again: messages of templates, schemas and parsers quote what they
//! stumble over.

use object::Value;

/// Shorter values are words of every message: hiding them would hide nothing.
const SHORTEST: usize = 6;
const MASK: &str = "***";

/// Values that are replaced in whatever is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrecy {
    values: Vec<String>,
}

impl Secrecy {
    /// Keeps a text secret: each of its lines, and each value where it is YAML.
    pub fn hide(&mut self, text: &str) {
        self.add(text.trim());
        text.lines().for_each(|line| self.add(line.trim()));
        if let Ok(parsed) = yaml::from_str(text) {
            self.walk(&parsed);
        }
        // What holds another is replaced first.
        self.values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.values.dedup();
    }

    fn walk(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.add(text.trim());
                text.lines().for_each(|line| self.add(line.trim()));
            }
            Value::Number(number) => self.add(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(map) => map.values().for_each(|item| self.walk(item)),
            _ => {}
        }
    }

    fn add(&mut self, text: &str) {
        if text.len() >= SHORTEST {
            self.values.push(text.to_owned());
        }
    }

    /// A text as it may be told.
    pub fn told(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in self.values.iter().filter(|value| !MASK.contains(value.as_str())) {
            if text.contains(value.as_str()) {
                text = text.replace(value.as_str(), MASK);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_told() {
        let mut secrecy = Secrecy::default();
        secrecy.hide(
            "db:\n  password: hunter2-long\n  pin: 123456\nmode: on\nkey: |\n  first line\n  second line\n",
        );
        let told =
            secrecy.told("at 'db.password': 'hunter2-long' is no number, 123456, second line: mode on");
        assert_eq!(told, "at 'db.password': '***' is no number, ***, ***: mode on");
        assert_eq!(Secrecy::default().told("as it is"), "as it is");
    }
}

//! Questions at the terminal.

use anyhow::{Context as _, bail};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use std::io::{IsTerminal as _, Write as _};

/// One line.
pub fn line(prompt: &str) -> anyhow::Result<String> {
    show(prompt)?;
    let mut answer = String::new();
    if std::io::stdin().read_line(&mut answer)? == 0 {
        bail!("EOF");
    }
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// One line that is not shown. Without a terminal nobody can answer.
pub fn secret(prompt: &str) -> anyhow::Result<String> {
    show(prompt)?;
    if !std::io::stdin().is_terminal() {
        bail!("inappropriate ioctl for device");
    }
    crossterm::terminal::enable_raw_mode().context("the terminal does not hide what is typed")?;
    let answer = typed();
    crossterm::terminal::disable_raw_mode()?;
    println!();
    answer
}

fn typed() -> anyhow::Result<String> {
    let mut answer = String::new();
    loop {
        let Event::Key(key) = read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match key.code {
            KeyCode::Enter => return Ok(answer),
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => bail!("interrupted"),
            KeyCode::Char('d') if key.modifiers.contains(KeyModifiers::CONTROL) => bail!("EOF"),
            KeyCode::Char(c) => answer.push(c),
            KeyCode::Backspace => {
                answer.pop();
            }
            _ => {}
        }
    }
}

fn show(prompt: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    out.write_all(prompt.as_bytes())?;
    Ok(out.flush()?)
}

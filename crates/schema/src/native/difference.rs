//! The difference between two texts, as Python's `difflib` and its like find it: by the longest lines in a row that both
//! have, then by what is left and right of them.

use std::collections::HashMap;

/// Lines around a change that are shown too.
const CONTEXT: usize = 3;
/// From this many lines on, those that are too common do not begin a match.
const MANY: usize = 200;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Equal,
    Replace,
    Delete,
    Insert,
}

/// What becomes of some lines of the first text.
#[derive(Clone, Copy)]
struct Code {
    tag: Tag,
    old: (usize, usize),
    new: (usize, usize),
}

/// A unified difference without the names of files.
pub(super) fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let mut out = String::new();
    for group in groups(codes(&old, &new)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (from, to) = ((first.old.0, last.old.1), (first.new.0, last.new.1));
        out.push_str(&format!("@@ -{} +{} @@\n", range(from), range(to)));
        for code in group {
            let mut lines = |mark: char, lines: &[&str], (from, to): (usize, usize)| {
                for line in lines.get(from..to).unwrap_or_default() {
                    out.push(mark);
                    out.push_str(line);
                    out.push('\n');
                }
            };
            match code.tag {
                Tag::Equal => lines(' ', &old, code.old),
                _ => {
                    lines('-', &old, code.old);
                    lines('+', &new, code.new);
                }
            }
        }
    }
    out
}

fn range((from, to): (usize, usize)) -> String {
    match to - from {
        1 => (from + 1).to_string(),
        0 => format!("{from},0"),
        length => format!("{},{length}", from + 1),
    }
}

struct Matcher<'a> {
    old: &'a [&'a str],
    places: HashMap<&'a str, Vec<usize>>,
}

impl Matcher<'_> {
    /// The longest run of equal lines in both ranges: where it begins in each, and its length.
    fn longest(&self, old: (usize, usize), new: (usize, usize), lines: &[&str]) -> (usize, usize, usize) {
        let (mut best_old, mut best_new, mut best) = (old.0, new.0, 0);
        let mut lengths: HashMap<usize, usize> = HashMap::new();
        for (at, line) in self.old.iter().enumerate().take(old.1).skip(old.0) {
            let mut next = HashMap::new();
            for place in self.places.get(line).into_iter().flatten().copied() {
                if place < new.0 {
                    continue;
                }
                if place >= new.1 {
                    break;
                }
                let before =
                    place.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0);
                let length = before + 1;
                next.insert(place, length);
                if length > best {
                    (best_old, best_new, best) = (at + 1 - length, place + 1 - length, length);
                }
            }
            lengths = next;
        }
        // Common lines do not begin a match but belong to one.
        let same = |a: usize, b: usize| self.old.get(a) == lines.get(b);
        while best_old > old.0 && best_new > new.0 && same(best_old - 1, best_new - 1) {
            (best_old, best_new, best) = (best_old - 1, best_new - 1, best + 1);
        }
        while best_old + best < old.1 && best_new + best < new.1 && same(best_old + best, best_new + best) {
            best += 1;
        }
        (best_old, best_new, best)
    }
}

fn codes(old: &[&str], new: &[&str]) -> Vec<Code> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, line) in new.iter().enumerate() {
        places.entry(line).or_default().push(at);
    }
    if new.len() >= MANY {
        let most = new.len() / 100 + 1;
        places.retain(|_, places| places.len() <= most);
    }
    let matcher = Matcher { old, places };
    let mut blocks = Vec::new();
    let mut queue = vec![((0, old.len()), (0, new.len()))];
    while let Some((from, to)) = queue.pop() {
        let (a, b, length) = matcher.longest(from, to, new);
        if length == 0 {
            continue;
        }
        blocks.push((a, b, length));
        if from.0 < a && to.0 < b {
            queue.push(((from.0, a), (to.0, b)));
        }
        if a + length < from.1 && b + length < to.1 {
            queue.push(((a + length, from.1), (b + length, to.1)));
        }
    }
    blocks.sort_unstable();
    blocks.push((old.len(), new.len(), 0));
    let (mut a, mut b) = (0, 0);
    let mut codes: Vec<Code> = Vec::new();
    for (next_a, next_b, length) in blocks {
        let tag = match (a < next_a, b < next_b) {
            (true, true) => Some(Tag::Replace),
            (true, false) => Some(Tag::Delete),
            (false, true) => Some(Tag::Insert),
            (false, false) => None,
        };
        codes.extend(tag.map(|tag| Code { tag, old: (a, next_a), new: (b, next_b) }));
        (a, b) = (next_a + length, next_b + length);
        if length > 0 {
            match codes.last_mut().filter(|last| last.tag == Tag::Equal) {
                Some(last) => (last.old.1, last.new.1) = (a, b),
                None => codes.push(Code { tag: Tag::Equal, old: (next_a, a), new: (next_b, b) }),
            }
        }
    }
    codes
}

/// Changes with some lines around them; those far from each other apart.
fn groups(mut codes: Vec<Code>) -> Vec<Vec<Code>> {
    if let Some(first) = codes.first_mut().filter(|code| code.tag == Tag::Equal) {
        let shown = CONTEXT.min(first.old.1 - first.old.0);
        (first.old.0, first.new.0) = (first.old.1 - shown, first.new.1 - shown);
    }
    if let Some(last) = codes.last_mut().filter(|code| code.tag == Tag::Equal) {
        let shown = CONTEXT.min(last.old.1 - last.old.0);
        (last.old.1, last.new.1) = (last.old.0 + shown, last.new.0 + shown);
    }
    let mut groups = Vec::new();
    let mut group: Vec<Code> = Vec::new();
    for mut code in codes {
        if code.tag == Tag::Equal && code.old.1 - code.old.0 > 2 * CONTEXT {
            let end = Code {
                old: (code.old.0, code.old.0 + CONTEXT),
                new: (code.new.0, code.new.0 + CONTEXT),
                ..code
            };
            group.push(end);
            groups.push(std::mem::take(&mut group));
            (code.old.0, code.new.0) = (code.old.1 - CONTEXT, code.new.1 - CONTEXT);
        }
        group.push(code);
    }
    if group.iter().any(|code| code.tag != Tag::Equal) {
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    #[test]
    fn shows_changes_with_three_lines_around_them() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl";
        let new = "a\nb\nC\nd\ne\nf\ng\nh\ni\nj\nl";
        let wanted = "@@ -1,6 +1,6 @@\n a\n b\n-c\n+C\n d\n e\n f\n@@ -8,5 +8,4 @@\n h\n i\n j\n-k\n l\n";
        assert_eq!(super::unified(old, new), wanted);
        assert_eq!(super::unified(old, old), "");
    }
}

//! Names that Kubernetes accepts, made of any text.

/// Lower-case letters, digits, `-` and `.`, at most 253, letters or digits at both ends.
pub fn sanitize(text: &str) -> String {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.' { c } else { '-' })
        .take(253)
        .collect();
    plain.trim_matches(|c| c == '-' || c == '.').to_owned()
}

/// Words joined by `-`, at most `length` long; `smart` cuts only between words where there are several.
pub fn slugify(length: usize, smart: bool, text: &str) -> String {
    let mut slug = String::new();
    for c in sanitize(text).chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '-' };
        if c != '-' || !slug.ends_with('-') {
            slug.push(c);
        }
    }
    let slug = slug.trim_matches('-');
    // All of it is ASCII by now.
    if slug.len() <= length {
        return slug.to_owned();
    }
    let cut = slug.get(..length).unwrap_or(slug);
    if !smart {
        return cut.trim_end_matches('-').to_owned();
    }
    if slug.as_bytes().get(length) == Some(&b'-') {
        return cut.to_owned();
    }
    cut.rfind('-').and_then(|at| cut.get(..at)).unwrap_or(cut).to_owned()
}

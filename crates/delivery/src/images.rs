//! Names of images, as registries are asked for them. Pure.

/// An image without tag: host and path, as registries are asked.
///
/// # Errors
/// When it is no name of a repository.
pub fn address(image: &str) -> Result<String, String> {
    if image.contains("://") {
        return Err(format!("image '{image}' must not begin with a URL scheme"));
    }
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let is_host = first.contains(['.', ':']) || first == "localhost";
    let (host, path) = match (is_host, first) {
        (true, _) => (first, rest.to_owned()),
        (false, "") => ("docker.io", format!("library/{rest}")),
        (false, _) => ("docker.io", image.to_owned()),
    };
    let path = match path.split_once('/') {
        None if host == "docker.io" => format!("library/{path}"),
        _ => path,
    };
    if path.is_empty() || path.ends_with('/') || path.contains([':', '@', ' ']) || path != path.to_lowercase()
    {
        return Err(format!("image '{image}' is no name of a repository; it has no tag"));
    }
    Ok(format!("{host}/{path}"))
}

/// The name as go-containerregistry prints it.
pub fn canonical(address: &str) -> String {
    match address.strip_prefix("docker.io/") {
        Some(path) => format!("index.docker.io/{path}"),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        for (image, wanted) in [
            ("nginx", "docker.io/library/nginx"),
            ("docker.io/nginx", "docker.io/library/nginx"),
            ("org/app", "docker.io/org/app"),
            ("ghcr.io/org/app", "ghcr.io/org/app"),
            ("localhost:5000/app", "localhost:5000/app"),
        ] {
            assert_eq!(address(image).as_deref(), Ok(wanted), "{image}");
        }
        for bad in ["https://ghcr.io/a", "ghcr.io/org/app:1", "ghcr.io/", "Org/App", ""] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert_eq!(canonical("docker.io/library/nginx"), "index.docker.io/library/nginx");
    }
}

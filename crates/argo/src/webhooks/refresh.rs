//! Whom an event is about. Pure.

use delivery::fields::{list_at, str_at};
use object::{Value, get, meta};
use regex::Regex;
use url::Url;

use super::payload::{Event, Forge, PullRequest, Push, revision};
use crate::application::spec::{Source, Spec};
use crate::names;
use crate::render::matches;

/// What an Application is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asks {
    /// To look at its sources.
    pub refresh: bool,
    /// To hydrate anew.
    pub hydrate: bool,
}

/// Addresses that mean the repository which is looked at under `url`, with and without a scheme, a user and `.git`.
fn addresses(url: &str) -> Option<Regex> {
    let url = Url::parse(url).ok()?;
    let host = regex::escape(url.host_str()?);
    let path = url.path().trim_start_matches('/');
    let path = regex::escape(path.strip_suffix(".git").unwrap_or(path));
    if path.is_empty() {
        return None;
    }
    let user = r"[\w.][\w.-]{0,30}[\w.$-]?@";
    let pattern = format!(r"(?i)^((https?|ssh)://)?({user})?((alt)?ssh\.)?{host}(:\d+)?[:/]{path}(\.git)?$");
    Regex::new(&pattern).ok()
}

/// Does a push move what `target` means?
fn moves(push: &Push, target: &str) -> bool {
    let last = revision(target);
    if last.is_empty() || last == "HEAD" {
        return push.head;
    }
    let full = ["refs/heads/", "refs/tags/"].iter().any(|prefix| target.starts_with(prefix));
    push.revisions.iter().any(|moved| *moved == if full { last.as_str() } else { target })
}

fn reads(push: &Push, url: &str) -> bool {
    push.urls.iter().filter_map(|pushed| addresses(pushed)).any(|pattern| pattern.is_match(url))
}

/// Did one of the files change that `argocd.argoproj.io/manifest-generate-paths` names for sources of these folders?
/// Without the annotation, or when nobody said what changed, it is so.
fn touches(push: &Push, application: &Value, folders: &[&str]) -> bool {
    let annotation = meta::annotation(application, names::MANIFEST_GENERATE_PATHS).unwrap_or_default();
    let words = annotation.split(';').map(str::trim).filter(|word| !word.is_empty());
    let mut paths: Vec<String> = Vec::new();
    for word in words {
        match word.strip_prefix('/') {
            Some(absolute) => paths.push(kustomize::path::clean(&format!("/{absolute}"))),
            None => {
                let below = |folder: &&str| kustomize::path::clean(&format!("/{folder}/{word}"));
                paths.extend(folders.iter().map(below));
            }
        }
    }
    if push.files.is_empty() || paths.is_empty() {
        return true;
    }
    push.files.iter().any(|file| {
        let file = format!("/{}", file.trim_start_matches('/'));
        paths.iter().any(|path| {
            let inside = file.strip_prefix(path.trim_end_matches('/'));
            inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || matches(path, &file)
        })
    })
}

/// What an Application is to do about an event.
pub fn application(application: &Value, event: &Event) -> Asks {
    let Event::Push(push) = event else { return Asks::default() };
    let spec = Spec::of(application);
    let folders: Vec<&str> = spec.sources.iter().map(Source::path).collect();
    let concerns = |url: &str, target: &str| moves(push, target) && reads(push, url);
    let refresh = spec.sources.iter().any(|source| concerns(source.repo_url(), source.target_revision()))
        && touches(push, application, &folders);
    let dry = get(application, &["spec", "sourceHydrator", "drySource"]);
    let hydrate = dry.is_some_and(|dry| {
        let text = |field: &str| str_at(dry, &[field]);
        concerns(text("repoURL"), text("targetRevision")) && touches(push, application, &[text("path")])
    });
    Asks { refresh, hydrate }
}

/// Is a set to be looked at?
pub fn set(set: &Value, event: &Event) -> bool {
    list_at(set, &["spec", "generators"]).iter().any(|generator| concerns(generator, event, 0))
}

/// Generators nest no deeper than this.
const DEEPEST: usize = 8;

fn concerns(generator: &Value, event: &Event, depth: usize) -> bool {
    if depth > DEEPEST {
        return false;
    }
    let nested = ["matrix", "merge"].iter().flat_map(|kind| list_at(generator, &[kind, "generators"]));
    if nested.into_iter().any(|inner| concerns(inner, event, depth + 1)) {
        return true;
    }
    match event {
        Event::Nothing => false,
        // Nobody knows what a plugin looks at.
        _ if generator.get("plugin").is_some_and(Value::is_object) => true,
        Event::Push(push) => generator.get("git").is_some_and(|git| {
            let url = str_at(git, &["repoURL"]);
            let revisions = str_at(git, &["revision"]);
            // What is made of parameters may be this repository.
            let known = url.contains("{{") || reads(push, url);
            known
                && (revisions.contains("{{")
                    || moves(push, revisions)
                    || push.revisions.contains(&revision(revisions)))
        }),
        Event::PullRequest(pull) => generator.get("pullRequest").is_some_and(|asked| is_asked(asked, pull)),
    }
}

/// Does a generator ask for the pull requests of this repository?
fn is_asked(asked: &Value, pull: &PullRequest) -> bool {
    let (field, public) = match pull.forge {
        Forge::GitHub => ("github", "api.github.com"),
        Forge::GitLab => ("gitlab", "gitlab.com"),
        Forge::AzureDevOps => ("azuredevops", "dev.azure.com"),
        Forge::Bitbucket | Forge::BitbucketServer | Forge::Gogs => return false,
    };
    let Some(asked) = asked.get(field) else { return false };
    let text = |name: &str| str_at(asked, &[name]);
    let same = |wanted: &str, found: &str| wanted.contains("{{") || wanted.eq_ignore_ascii_case(found);
    let api = Url::parse(text("api")).ok();
    let host = api.as_ref().and_then(Url::host_str).unwrap_or(public);
    if !same(host, &pull.host) {
        return false;
    }
    match pull.forge {
        Forge::GitLab => pull.project.iter().any(|project| same(text("project"), project)),
        Forge::AzureDevOps => {
            same(text("organization"), &pull.owner)
                && pull.project.iter().any(|project| same(text("project"), project))
                && same(text("repo"), &pull.repository)
        }
        _ => same(text("owner"), &pull.owner) && same(text("repo"), &pull.repository),
    }
}

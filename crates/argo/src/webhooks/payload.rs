//! What a forge's call says. Pure.

use delivery::doors::Call;
use delivery::fields::{list_at, str_at, strings_at};
use object::{Value, get};
use url::Url;

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forge {
    /// GitHub.
    GitHub,
    /// GitLab.
    GitLab,
    /// bitbucket.org.
    Bitbucket,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
    /// Gogs, Gitea and Forgejo.
    Gogs,
    /// Azure DevOps.
    AzureDevOps,
}

impl Forge {
    /// By the headers. Gitea sends GitHub's as well as its own.
    pub fn of(call: &Call) -> Option<Forge> {
        let has = |name: &str| !call.header(name).is_empty();
        [
            ("x-vss-activityid", Forge::AzureDevOps),
            ("x-gogs-event", Forge::Gogs),
            ("x-github-event", Forge::GitHub),
            ("x-gitlab-event", Forge::GitLab),
            ("x-hook-uuid", Forge::Bitbucket),
            ("x-event-key", Forge::BitbucketServer),
        ]
        .into_iter()
        .find(|(header, _)| has(header))
        .map(|(_, forge)| forge)
    }

    /// For the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Forge::GitHub => "github",
            Forge::GitLab => "gitlab",
            Forge::Bitbucket => "bitbucket",
            Forge::BitbucketServer => "bitbucketserver",
            Forge::Gogs => "gogs",
            Forge::AzureDevOps => "azuredevops",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing that anybody is told of: a hook is tried, a pull request is commented.
    Nothing,
    /// Commits came.
    Push(Push),
    /// A pull request came, went or changed.
    PullRequest(PullRequest),
}

/// A push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Push {
    /// Where the repository is looked at or cloned.
    pub urls: Vec<String>,
    /// The branches or tags, by their last names.
    pub revisions: Vec<String>,
    /// Is it, or may it be, the repository's main branch?
    pub head: bool,
    /// What changed; nothing where that is not said.
    pub files: Vec<String>,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Of which forge.
    pub forge: Forge,
    /// Where the forge is, a host.
    pub host: String,
    /// The owner, or the organisation.
    pub owner: String,
    /// The project of the repository (Azure DevOps), or the repository's path and number (GitLab).
    pub project: Vec<String>,
    /// The repository.
    pub repository: String,
}

/// The last name of a reference: what `refs/heads/` and `refs/tags/` are in front of.
pub fn revision(reference: &str) -> String {
    reference.splitn(3, '/').last().unwrap_or_default().to_owned()
}

fn host(url: &str) -> String {
    Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_lowercase)).unwrap_or_default()
}

/// Reads a call.
///
/// # Errors
/// When it tells of something that hooks are not for, or is not readable.
pub fn read(forge: Forge, call: &Call) -> Result<Event, String> {
    let body = || -> Result<Value, String> {
        let form = call.header("content-type").starts_with("application/x-www-form-urlencoded");
        let payload = match form {
            // GitHub sends either.
            true => url::form_urlencoded::parse(&call.body)
                .find(|(key, _)| key == "payload")
                .map(|(_, value)| value.into_owned().into_bytes())
                .unwrap_or_default(),
            false => call.body.clone(),
        };
        let value: Value = serde_json::from_slice(&payload).map_err(|_| "error parsing payload")?;
        if value.is_object() { Ok(value) } else { Err("error parsing payload".into()) }
    };
    let unknown = || Err("event not defined to be parsed".to_owned());
    match forge {
        Forge::GitHub => match call.header("x-github-event") {
            "push" => Ok(Event::Push(commits(&body()?, "repository", "html_url"))),
            "pull_request" => Ok(github_pull(&body()?)),
            "ping" => Ok(Event::Nothing),
            _ => unknown(),
        },
        Forge::Gogs => match call.header("x-gogs-event") {
            "push" => Ok(Event::Push(commits(&body()?, "repository", "html_url"))),
            _ => unknown(),
        },
        Forge::GitLab => gitlab(call.header("x-gitlab-event"), &body()?),
        Forge::Bitbucket => match call.header("x-event-key") {
            "repo:push" => Ok(Event::Push(bitbucket(&body()?))),
            _ => unknown(),
        },
        Forge::BitbucketServer => match call.header("x-event-key") {
            "repo:refs_changed" => Ok(Event::Push(bitbucket_server(&body()?))),
            "diagnostics:ping" => Ok(Event::Nothing),
            _ => unknown(),
        },
        Forge::AzureDevOps => azure(&body()?),
    }
}

/// A push as most forges tell it.
fn commits(body: &Value, repository: &str, url: &str) -> Push {
    let branch = revision(str_at(body, &["ref"]));
    let mut files = Vec::new();
    for commit in list_at(body, &["commits"]) {
        for field in ["added", "modified", "removed"] {
            files.extend(strings_at(commit, &[field]));
        }
    }
    Push {
        urls: vec![str_at(body, &[repository, url]).to_owned()],
        head: str_at(body, &[repository, "default_branch"]) == branch,
        revisions: vec![branch],
        files,
    }
}

fn github_pull(body: &Value) -> Event {
    const ACTIONS: &[&str] = &["opened", "closed", "synchronize", "labeled", "reopened", "unlabeled"];
    if !ACTIONS.contains(&str_at(body, &["action"])) {
        return Event::Nothing;
    }
    Event::PullRequest(PullRequest {
        forge: Forge::GitHub,
        host: host(str_at(body, &["repository", "url"])),
        owner: str_at(body, &["repository", "owner", "login"]).to_owned(),
        project: Vec::new(),
        repository: str_at(body, &["repository", "name"]).to_owned(),
    })
}

fn gitlab(event: &str, body: &Value) -> Result<Event, String> {
    let kind = match event {
        "System Hook" => str_at(body, &["object_kind"]),
        "Push Hook" => "push",
        "Tag Push Hook" => "tag_push",
        "Merge Request Hook" => "merge_request",
        _ => return Err("event not defined to be parsed".into()),
    };
    match kind {
        "push" | "tag_push" => Ok(Event::Push(commits(body, "project", "web_url"))),
        "merge_request" => {
            const ACTIONS: &[&str] = &["open", "close", "reopen", "update", "merge"];
            if !ACTIONS.contains(&str_at(body, &["object_attributes", "action"])) {
                return Ok(Event::Nothing);
            }
            let number = get(body, &["object_attributes", "target_project_id"]).and_then(Value::as_i64);
            let path = str_at(body, &["project", "path_with_namespace"]).to_owned();
            Ok(Event::PullRequest(PullRequest {
                forge: Forge::GitLab,
                host: host(str_at(body, &["project", "web_url"])),
                owner: String::new(),
                project: number.map(|number| number.to_string()).into_iter().chain([path]).collect(),
                repository: String::new(),
            }))
        }
        _ => Ok(Event::Nothing),
    }
}

/// Whether it is the main branch is not said, nor what changed.
fn bitbucket(body: &Value) -> Push {
    let changes = list_at(body, &["push", "changes"]).iter();
    Push {
        urls: vec![str_at(body, &["repository", "links", "html", "href"]).to_owned()],
        revisions: changes.map(|change| str_at(change, &["new", "name"]).to_owned()).collect(),
        head: true,
        files: Vec::new(),
    }
}

fn bitbucket_server(body: &Value) -> Push {
    let links = list_at(body, &["repository", "links", "clone"]).iter();
    let changes = list_at(body, &["changes"]).iter();
    Push {
        urls: links
            .filter(|link| matches!(str_at(link, &["name"]), "http" | "ssh"))
            .map(|link| str_at(link, &["href"]).to_owned())
            .collect(),
        revisions: changes.map(|change| revision(str_at(change, &["ref", "id"]))).collect(),
        head: true,
        files: Vec::new(),
    }
}

fn azure(body: &Value) -> Result<Event, String> {
    let repository = |path: &[&str]| {
        let all = [&["resource", "repository"], path].concat();
        str_at(body, &all).to_owned()
    };
    match str_at(body, &["eventType"]) {
        "git.push" => {
            let updates = list_at(body, &["resource", "refUpdates"]);
            let names = || updates.iter().map(|update| str_at(update, &["name"]));
            let main = repository(&["defaultBranch"]);
            Ok(Event::Push(Push {
                urls: vec![repository(&["remoteUrl"])],
                head: names().any(|name| name == main),
                revisions: names().map(revision).collect(),
                files: Vec::new(),
            }))
        }
        "git.pullrequest.created" | "git.pullrequest.merged" | "git.pullrequest.updated" => {
            let url = repository(&["remoteUrl"]);
            let parsed = Url::parse(&url).ok();
            let owner = parsed.as_ref().and_then(|url| url.path_segments()?.next().map(str::to_owned));
            Ok(Event::PullRequest(PullRequest {
                forge: Forge::AzureDevOps,
                host: host(&url),
                owner: owner.unwrap_or_default(),
                project: vec![repository(&["project", "name"])],
                repository: repository(&["name"]),
            }))
        }
        _ => Err("unknown event".into()),
    }
}

//! Releases in the Secrets that helm keeps them in.

use cluster::{Cluster, Delete, Error, ErrorKind, ListOptions};
use helm::release::{self, Release, Status};
use object::{Gvk, Value, meta};

fn gvk() -> Gvk {
    Gvk::new("", "v1", "Secret")
}

/// The releases of one name.
pub struct Storage {
    /// The cluster, with rights on Secrets.
    pub cluster: Cluster,
    /// The namespace of the Secrets.
    pub namespace: String,
    /// The release's name.
    pub name: String,
    /// The field manager of the Secrets.
    pub manager: &'static str,
}

fn broken(error: helm::Error) -> Error {
    Error::new(ErrorKind::Other, error.to_string())
}

impl Storage {
    /// Every stored revision's Secret, oldest first.
    async fn secrets(&self) -> Result<Vec<(u64, Value)>, Error> {
        let options = ListOptions {
            namespace: self.namespace.clone(),
            labels: format!("owner=helm,name={}", self.name),
            fields: String::new(),
        };
        let mut found: Vec<(u64, Value)> = Vec::new();
        for secret in self.cluster.list(&gvk(), &options).await? {
            if let Some(head) = release::from_secret_head(&secret) {
                found.push((head.version, secret));
            }
        }
        found.sort_by_key(|(version, _)| *version);
        Ok(found)
    }

    /// The newest revision.
    pub async fn last(&self) -> Result<Option<Release>, Error> {
        match self.secrets().await?.last() {
            Some((_, secret)) => release::from_secret(secret).map(Some).map_err(broken),
            None => Ok(None),
        }
    }

    /// One revision.
    pub async fn get(&self, version: u64) -> Result<Option<Release>, Error> {
        let name = release::secret_name(&self.name, version);
        match self.cluster.get(&gvk(), &self.namespace, &name).await? {
            Some(secret) => release::from_secret(&secret).map(Some).map_err(broken),
            None => Ok(None),
        }
    }

    /// The newest revision that is deployed.
    pub async fn deployed(&self) -> Result<Option<Release>, Error> {
        for (_, secret) in self.secrets().await?.iter().rev() {
            let head = release::from_secret_head(secret);
            if head.is_some_and(|head| head.status == Status::Deployed) {
                return release::from_secret(secret).map(Some).map_err(broken);
            }
        }
        Ok(None)
    }

    fn secret(&self, release: &Release, stamp: (&str, i64)) -> Result<Value, Error> {
        let mut secret = release::to_secret(release, Some(stamp)).map_err(broken)?;
        meta::set_namespace(&mut secret, &self.namespace);
        Ok(secret)
    }

    /// Stores a new revision. One that exists is an error: somebody else is at work.
    pub async fn create(&self, release: &Release, now: i64) -> Result<(), Error> {
        let secret = self.secret(release, ("createdAt", now))?;
        self.cluster.create(&secret, self.manager).await.map(|_| ())
    }

    /// Stores a changed revision.
    pub async fn update(&self, release: &Release, now: i64) -> Result<(), Error> {
        let secret = self.secret(release, ("modifiedAt", now))?;
        self.cluster.replace(&secret, self.manager).await.map(|_| ())
    }

    /// Marks every deployed revision but `version` as superseded.
    pub async fn supersede(&self, version: u64, now: i64) -> Result<(), Error> {
        for (other, secret) in self.secrets().await? {
            let head = release::from_secret_head(&secret);
            if other != version && head.is_some_and(|head| head.status == Status::Deployed) {
                let mut release = release::from_secret(&secret).map_err(broken)?;
                release.info.status = Status::Superseded;
                self.update(&release, now).await?;
            }
        }
        Ok(())
    }

    /// Every revision, oldest first.
    pub async fn history(&self) -> Result<Vec<Release>, Error> {
        let secrets = self.secrets().await?;
        secrets.iter().map(|(_, secret)| release::from_secret(secret).map_err(broken)).collect()
    }

    /// Keeps the newest `most` revisions (0 = all), and always the deployed one.
    pub async fn trim(&self, most: usize) -> Result<(), Error> {
        if most == 0 { Ok(()) } else { self.keep(most).await }
    }

    /// Makes room for one more revision, so that there are `most` with it (0 = any number).
    pub async fn make_room(&self, most: usize) -> Result<(), Error> {
        if most == 0 { Ok(()) } else { self.keep(most - 1).await }
    }

    async fn keep(&self, most: usize) -> Result<(), Error> {
        let secrets = self.secrets().await?;
        let mut surplus = secrets.len().saturating_sub(most);
        for (version, secret) in &secrets {
            let deployed =
                release::from_secret_head(secret).is_some_and(|head| head.status == Status::Deployed);
            if surplus == 0 {
                break;
            }
            if !deployed {
                self.remove(*version).await?;
                surplus -= 1;
            }
        }
        Ok(())
    }

    /// Removes one revision.
    pub async fn remove(&self, version: u64) -> Result<(), Error> {
        let name = release::secret_name(&self.name, version);
        self.cluster.delete(&gvk(), &self.namespace, &name, &Delete::default()).await.map(|_| ())
    }

    /// Removes every revision.
    pub async fn purge(&self) -> Result<(), Error> {
        for (version, _) in self.secrets().await? {
            self.remove(version).await?;
        }
        Ok(())
    }
}

/// Every stored revision of every release in a namespace (or, without one, in all) whose labels match.
pub async fn all(cluster: &Cluster, namespace: &str, selector: &str) -> Result<Vec<Release>, Error> {
    let labels = match selector {
        "" => "owner=helm".to_owned(),
        more => format!("owner=helm,{more}"),
    };
    let options = ListOptions { namespace: namespace.to_owned(), labels, fields: String::new() };
    let mut found = Vec::new();
    for secret in cluster.list(&gvk(), &options).await? {
        if release::from_secret_head(&secret).is_none() {
            continue;
        }
        match release::from_secret(&secret) {
            Ok(release) => found.push(release),
            // One broken record must not hide the others.
            Err(error) => tracing::warn!(%error, "a stored release cannot be read"),
        }
    }
    Ok(found)
}

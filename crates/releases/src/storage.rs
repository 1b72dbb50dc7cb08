//! Releases in the objects that helm keeps them in: Secrets, or ConfigMaps.

use cluster::{Cluster, Delete, Error, ErrorKind, ListOptions};
use helm::release::{self, Holder, Release, Status};
use object::{Gvk, Value, meta};

fn gvk(holder: Holder) -> Gvk {
    Gvk::new("", "v1", holder.kind())
}

/// The releases of one name.
pub struct Storage {
    /// The cluster, with rights on what holds them.
    pub cluster: Cluster,
    /// What holds them.
    pub holder: Holder,
    /// The namespace of those objects.
    pub namespace: String,
    /// The release's name.
    pub name: String,
    /// The field manager of those objects.
    pub manager: &'static str,
}

fn broken(error: helm::Error) -> Error {
    Error::new(ErrorKind::Other, error.to_string())
}

/// What is stored of a release.
pub struct Survey {
    /// The newest revision.
    pub last: Option<Release>,
    /// Revisions in the middle of an action; nobody may be at work on them any more.
    pub pending: Vec<Release>,
    /// How many revisions there are.
    pub count: usize,
}

impl Storage {
    /// Every stored revision's object, oldest first.
    async fn objects(&self) -> Result<Vec<(u64, Value)>, Error> {
        let options = ListOptions {
            namespace: self.namespace.clone(),
            labels: format!("owner=helm,name={}", self.name),
            fields: String::new(),
        };
        let mut found: Vec<(u64, Value)> = Vec::new();
        for stored in self.cluster.list(&gvk(self.holder), &options).await? {
            if let Some(head) = self.holder.head(&stored) {
                found.push((head.version, stored));
            }
        }
        found.sort_by_key(|(version, _)| *version);
        Ok(found)
    }

    /// The newest revision.
    pub async fn last(&self) -> Result<Option<Release>, Error> {
        Ok(self.survey().await?.last)
    }

    /// The newest revision, those that are in the middle of an action, and how many there are.
    pub async fn survey(&self) -> Result<Survey, Error> {
        let objects = self.objects().await?;
        let last = objects.last().map(|(_, stored)| self.holder.read(stored).map_err(broken));
        let pending = |stored: &Value| {
            let status = self.holder.head(stored).map(|head| head.status);
            status.is_some_and(|status| status.is_pending() || status == Status::Uninstalling)
        };
        let pending = objects.iter().filter(|(_, stored)| pending(stored));
        let pending = pending.map(|(_, stored)| self.holder.read(stored).map_err(broken));
        Ok(Survey {
            last: last.transpose()?,
            pending: pending.collect::<Result<_, _>>()?,
            count: objects.len(),
        })
    }

    /// One revision.
    pub async fn get(&self, version: u64) -> Result<Option<Release>, Error> {
        let name = release::stored_name(&self.name, version);
        match self.cluster.get(&gvk(self.holder), &self.namespace, &name).await? {
            Some(stored) => self.holder.read(&stored).map(Some).map_err(broken),
            None => Ok(None),
        }
    }

    /// The newest revision that is deployed.
    pub async fn deployed(&self) -> Result<Option<Release>, Error> {
        for (_, stored) in self.objects().await?.iter().rev() {
            let head = self.holder.head(stored);
            if head.is_some_and(|head| head.status == Status::Deployed) {
                return self.holder.read(stored).map(Some).map_err(broken);
            }
        }
        Ok(None)
    }

    fn stored(&self, release: &Release, stamp: (&str, i64)) -> Result<Value, Error> {
        let mut stored = self.holder.store(release, Some(stamp)).map_err(broken)?;
        meta::set_namespace(&mut stored, &self.namespace);
        Ok(stored)
    }

    /// Stores a new revision. One that exists is an error: somebody else is at work.
    pub async fn create(&self, release: &Release, now: i64) -> Result<(), Error> {
        let stored = self.stored(release, ("createdAt", now))?;
        self.cluster.create(&stored, self.manager).await.map(|_| ())
    }

    /// Stores a changed revision.
    pub async fn update(&self, release: &Release, now: i64) -> Result<(), Error> {
        let stored = self.stored(release, ("modifiedAt", now))?;
        self.cluster.replace(&stored, self.manager).await.map(|_| ())
    }

    /// Marks every deployed revision but `version` as superseded.
    pub async fn supersede(&self, version: u64, now: i64) -> Result<(), Error> {
        for (other, stored) in self.objects().await? {
            let head = self.holder.head(&stored);
            if other != version && head.is_some_and(|head| head.status == Status::Deployed) {
                let mut release = self.holder.read(&stored).map_err(broken)?;
                release.info.status = Status::Superseded;
                self.update(&release, now).await?;
            }
        }
        Ok(())
    }

    /// Every revision, oldest first.
    pub async fn history(&self) -> Result<Vec<Release>, Error> {
        let storeds = self.objects().await?;
        storeds.iter().map(|(_, stored)| self.holder.read(stored).map_err(broken)).collect()
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
        let storeds = self.objects().await?;
        let mut surplus = storeds.len().saturating_sub(most);
        for (version, stored) in &storeds {
            let deployed = self.holder.head(stored).is_some_and(|head| head.status == Status::Deployed);
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
        let name = release::stored_name(&self.name, version);
        self.cluster.delete(&gvk(self.holder), &self.namespace, &name, &Delete::default()).await.map(|_| ())
    }

    /// Removes every revision.
    pub async fn purge(&self) -> Result<(), Error> {
        for (version, _) in self.objects().await? {
            self.remove(version).await?;
        }
        Ok(())
    }
}

/// Every stored revision of every release in a namespace (or, without one, in all) whose labels match.
pub async fn all(
    cluster: &Cluster,
    holder: Holder,
    namespace: &str,
    selector: &str,
) -> Result<Vec<Release>, Error> {
    let labels = match selector {
        "" => "owner=helm".to_owned(),
        more => format!("owner=helm,{more}"),
    };
    let options = ListOptions { namespace: namespace.to_owned(), labels, fields: String::new() };
    let mut found = Vec::new();
    for stored in cluster.list(&gvk(holder), &options).await? {
        if holder.head(&stored).is_none() {
            continue;
        }
        match holder.read(&stored) {
            Ok(release) => found.push(release),
            // One broken record must not hide the others.
            Err(error) => tracing::warn!(%error, "a stored release cannot be read"),
        }
    }
    Ok(found)
}

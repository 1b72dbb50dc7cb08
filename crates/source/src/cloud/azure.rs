//! Azure: tokens for an application or a managed identity.

use super::{Account, Asker, end_of, text_at};
use crate::{Credentials, Error, Fetcher, Result};
use object::Value;

/// Blobs.
pub const BLOBS: &str = "https://storage.azure.com/.default";
/// Git repositories.
pub const DEVOPS: &str = "499b84ac-1321-427f-aa17-267ca6975798/.default";
/// Event hubs.
pub const EVENT_HUBS: &str = "https://eventhubs.azure.net//.default";
/// Key vaults.
pub const VAULT: &str = "https://vault.azure.net/.default";
/// Clusters.
pub const KUBERNETES: &str = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
/// What describes clusters.
pub const MANAGEMENT: &str = "https://management.azure.com/.default";

const TENANT: &str = "azure.workload.identity/tenant-id";
const CLIENT: &str = "azure.workload.identity/client-id";
const AUDIENCE: &str = "api://AzureADTokenExchange";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Fetcher {
    /// A token of an account's application, or of the one that this process is.
    ///
    /// # Errors
    /// When there is no identity, or it is refused.
    pub async fn azure_token(
        &self,
        account: Option<&Account>,
        scope: &str,
        credentials: &Credentials,
    ) -> Result<String> {
        let asker = Asker::new(self, credentials)?;
        let key = format!("azure {scope} {}", account.map(Account::digest).unwrap_or_default());
        asker
            .kept(key, async {
                match account {
                    Some(account) => {
                        let named = |name: &str| {
                            account.annotation(name).ok_or_else(|| {
                                Error::Invalid(format!("{} has no annotation {name}", account.place()))
                            })
                        };
                        let (tenant, client) = (named(TENANT)?, named(CLIENT)?);
                        let token = account.token(AUDIENCE).await?;
                        let proof =
                            [("client_assertion", token.as_str()), ("client_assertion_type", ASSERTION)];
                        asker.signed_in(tenant, client, &proof, scope).await
                    }
                    None => asker.own_token(scope).await,
                }
            })
            .await
    }
}

fn answered(answer: &Value) -> Result<(String, i64)> {
    let token = text_at(answer, "/access_token");
    let token = token.ok_or_else(|| Error::Refused("the answer of Azure holds no token".into()))?;
    Ok((token.to_owned(), end_of(answer)))
}

impl Asker<'_> {
    async fn signed_in(
        &self,
        tenant: &str,
        client: &str,
        proof: &[(&str, &str)],
        scope: &str,
    ) -> Result<(String, i64)> {
        let origin = self.address(&["AZURE_AUTHORITY_HOST"], "https://login.microsoftonline.com");
        let url = format!("{origin}/{tenant}/oauth2/v2.0/token");
        let mut form = vec![("client_id", client), ("grant_type", "client_credentials"), ("scope", scope)];
        form.extend_from_slice(proof);
        answered(&self.json(&url, self.form(&url, &form)).await?)
    }

    /// In the order of Azure's own programs, but for those that run another one.
    async fn own_token(&self, scope: &str) -> Result<(String, i64)> {
        let tenant = self.variable("AZURE_TENANT_ID");
        let client = self.variable("AZURE_CLIENT_ID");
        if let (Some(tenant), Some(client), Some(secret)) =
            (tenant, client, self.variable("AZURE_CLIENT_SECRET"))
        {
            return self.signed_in(tenant, client, &[("client_secret", secret)], scope).await;
        }
        if let (Some(tenant), Some(client), Some(file)) =
            (tenant, client, self.variable("AZURE_FEDERATED_TOKEN_FILE"))
        {
            let token = self.file(file)?;
            let proof = [("client_assertion", token.as_str()), ("client_assertion_type", ASSERTION)];
            return self.signed_in(tenant, client, &proof, scope).await;
        }
        let origin = self.address(&["AZURE_POD_IDENTITY_AUTHORITY_HOST"], "http://169.254.169.254");
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let mut query = vec![("api-version", "2018-02-01"), ("resource", resource)];
        query.extend(client.map(|client| ("client_id", client)));
        let url = format!("{origin}/metadata/identity/oauth2/token?{}", crate::sign::query(&query));
        let call = self.client.get(&url).header("metadata", "true");
        let answer = self.json(&url, call.timeout(std::time::Duration::from_secs(10))).await;
        answered(&answer.map_err(|error| Error::Denied {
            url: origin.clone(),
            cause: format!(
                "there are no Azure credentials in the environment, and the machine has none: {error}"
            ),
        })?)
    }
}

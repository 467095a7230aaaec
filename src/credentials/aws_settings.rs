//! What goes with an access key: region, endpoint and certificates, as AWS's
//! variables and profiles have them.
//!
//! What stands in a key file of ours goes before AWS's variables, and these
//! before a profile. A profile's settings go with every key that was found
//! where AWS's tools look, as with these tools, even if the key itself came
//! from a variable or a service; with a key file's they never go. It fails
//! with 78 where the profile that was named is not there.
//!
//! Source: the AWS SDKs and Tools Reference Guide, 'AWS Region',
//! 'Service-specific endpoints' and 'General configuration settings'.

use super::{Found, Search, profile};
use crate::error::Result;

/// Adds what is missing in `found`. `named` is the profile that the command line
/// names.
pub(super) fn add(search: &Search, named: Option<&str>, found: &mut Found) -> Result<()> {
    let variable = |names: &[&str]| names.iter().find_map(|name| search.get(name));
    let region = variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let endpoint = variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
    let ca_bundle = variable(&["AWS_CA_BUNDLE"]);
    let ignored = variable(&["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"]);

    found.region = found.region.take().or(region);
    found.ca_bundle = ca_bundle;
    let profile = if found.aws {
        profile::current(search, named)?
    } else {
        None
    };
    let Some(profile) = profile else {
        if !is_true(ignored.as_deref()) {
            found.endpoint = found.endpoint.take().or(endpoint);
        }
        return Ok(());
    };
    if found.region.is_none() {
        found.region = profile.text("region")?;
    }
    if found.ca_bundle.is_none() {
        found.ca_bundle = profile.text("ca_bundle")?;
    }
    let ignored = match ignored {
        Some(ignored) => Some(ignored),
        None => profile.text("ignore_configured_endpoint_urls")?,
    };
    found.endpoint = match endpoint {
        _ if is_true(ignored.as_deref()) => None,
        Some(endpoint) => Some(endpoint),
        None => profile.endpoint()?,
    };
    Ok(())
}

fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
#[path = "aws_settings_tests.rs"]
mod tests;

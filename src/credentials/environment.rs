//! The key in AWS's variables.
//!
//! Nothing but the environment is looked at. It fails with 77 where one of the
//! pair is missing, and with 78 where a value cannot be used.
//!
//! Source: the AWS CLI User Guide, 'Configuring environment variables'.

use super::{Found, Search, assemble, half, left_to_aws, timestamp};
use crate::error::{Error, Exit, Result};
use crate::sign::Credentials;

/// The variables that all of AWS's tools know.
pub(super) fn pair(search: &mut Search) -> Result<Option<Found>> {
    const PLACE: &str = "environment";
    const EXPIRES: &str = "AWS_CREDENTIAL_EXPIRATION";
    // The older name of the token comes first, as with botocore.
    let tokens = ["AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"];
    let set = |name: &&str| search.get(name).is_some();
    let token = tokens.into_iter().find(set).unwrap_or(tokens[1]);
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", token];
    let values = names.map(|name| search.get(name));
    let credentials = match values {
        [Some(id), Some(secret), token] => {
            assemble(PLACE, names, Credentials { id, secret, token })?
        }
        [None, None, _] => {
            search.looked.push("the environment".to_string());
            return Ok(None);
        }
        [Some(_), None, _] => return Err(half(Exit::Denied, PLACE, names[0], names[1])),
        [None, Some(_), _] => return Err(half(Exit::Denied, PLACE, names[1], names[0])),
    };
    let expires = search.get(EXPIRES);
    let expires = expires.map(|text| timestamp(PLACE, EXPIRES, &text));
    Ok(Some(Found {
        expires: expires.transpose()?,
        aws: true,
        fixed: true,
        ..Found::new(credentials, PLACE.to_string())
    }))
}

/// A role that the environment names. We cannot take it on, and to go on to
/// the instance's would be to act as somebody else.
pub(super) fn web_identity(search: &mut Search) -> Result<Option<Found>> {
    let variable = "AWS_WEB_IDENTITY_TOKEN_FILE";
    match search.get(variable) {
        None => Ok(None),
        Some(_) => Err(Error::new(Exit::Config, variable, left_to_aws(None))),
    }
}

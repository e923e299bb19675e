//! What a request brings along to say who sent it.

use secrecy::SecretString;
use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, COOKIE};

/// The longest token, in bytes. A workflow's, which is signed, has about 2000.
const MOST_TOKEN: usize = 8192;

/// The one token of the one header that has it.
pub(super) fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let fine = (1..=MOST_TOKEN).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    (fine && scheme.eq_ignore_ascii_case("bearer")).then(|| SecretString::from(token))
}

/// The values of the cookies of that name.
pub(super) fn cookies<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use warp::http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let values = values.iter().map(|value| (AUTHORIZATION, HeaderValue::try_from(*value).unwrap()));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| {
            headers.append(name, value);
        });
        bearer(&headers).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn one_header_brings_one_token() {
        assert_eq!(read(&["bearer a.b-c"]), Some("a.b-c".to_owned()));
        let long = format!("Bearer {}", "a".repeat(MOST_TOKEN + 1));
        for none in
            [&["Basic a"][..], &["Bearer "], &["Bearer"], &["Bearer a b"], &["Bearer a", "Bearer b"], &[&long], &[]]
        {
            assert_eq!(read(none), None, "{none:?}");
        }
    }
}

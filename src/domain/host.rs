//! What the name of a host says by itself of where it is, and what an address says.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether it is this machine: `localhost`, or an address of the loopback. An IPv6 address may stand in brackets.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    bare(host) == "localhost" || literal(host).is_some_and(|address| unmapped(address).is_loopback())
}

/// Whether it is an IP address, however it is spelled.
#[must_use]
pub fn is_address(host: &str) -> bool {
    literal(host).is_some()
}

/// Whether it is a place that only this machine or its network reaches, or spelled so that nobody can tell: what a program
/// makes of `%31` or of digits that are not ASCII is its own affair.
#[must_use]
pub fn is_inside(host: &str) -> bool {
    let is_plain = host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'%');
    let is_localhost = format!(".{}", bare(host)).ends_with(".localhost");
    !is_plain || is_localhost || literal(host).is_some_and(is_inner)
}

/// The name without what makes no difference.
fn bare(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The IP address that resolvers take the host for: `127.0.0.1` is also `127.1`, `0x7f000001`, `017700000001` and
/// `2130706433`.
fn literal(host: &str) -> Option<IpAddr> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let inner = inner.split_once('%').map_or(inner, |(address, _)| address);
        return inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return Some(IpAddr::V6(address));
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let parts: Vec<u32> = host.split('.').map(whole).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    let bits = 8 * (4_u32.checked_sub(u32::try_from(first.len()).ok()?).filter(|left| *left > 0)?);
    let fits = bits == 32 || *last < 1 << bits;
    if !fits || first.iter().any(|part| *part > 255) {
        return None;
    }
    let mut address = *last;
    for (nth, part) in first.iter().enumerate() {
        address |= part << (24 - 8 * nth);
    }
    Some(IpAddr::V4(Ipv4Addr::from(address)))
}

/// A number as C spells it: decimal, `0x` and hexadecimal, `0` and octal.
fn whole(part: &str) -> Option<u32> {
    let lower = part.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some("") => return Some(0),
        Some(hex) => (hex, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| u32::from_str_radix(digits, radix).ok())?
}

/// An address of IPv4 that is written as one of IPv6.
fn unmapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else { return address };
    let [a, b, c, d, e, f, high, low] = six.segments();
    let four = (u32::from(high) << 16) | u32::from(low);
    match [a, b, c, d, e, f] {
        // Mapped, compatible, or translated: the same machine in the end. `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => IpAddr::V4(Ipv4Addr::from(four)),
        [0, 0, 0, 0, 0, 0] if four > 1 => IpAddr::V4(Ipv4Addr::from(four)),
        _ => address,
    }
}

/// Whether only this machine or its network reaches the address.
#[must_use]
pub fn is_inner(address: IpAddr) -> bool {
    match unmapped(address) {
        IpAddr::V4(four) => {
            let [a, b, ..] = four.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            a == 0 || is_shared || four.is_loopback() || four.is_private() || four.is_link_local() || a >= 224
        }
        IpAddr::V6(six) => {
            let first = six.segments()[0];
            let is_site_or_link = first & 0xff80 == 0xfe80;
            six.is_loopback() || six.is_unspecified() || first & 0xfe00 == 0xfc00 || is_site_or_link || first >= 0xff00
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_many_spellings() {
        for host in [
            "localhost",
            "LocalHost",
            "localhost.",
            "127.0.0.1",
            "127.255.0.9",
            "127.1",
            "127.0.1",
            "0x7f000001",
            "0X7F.1",
            "017700000001",
            "2130706433",
            "0177.0.0.1",
            "127.0.0.1.",
            "::1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
        ] {
            assert!(is_loopback(host) && is_inside(host), "{host}");
        }
        for host in
            ["example.org", "127.0.0.1.example.org", "localhost.example.org", "1.2.3.4.5", "256.1.1.1", "08.1", "", "."]
        {
            assert!(!is_loopback(host) && !is_address(host), "{host}");
        }
    }

    #[test]
    fn what_only_we_reach_is_inside() {
        for host in [
            "models.localhost",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.7.7",
            "169.254.169.254",
            "0xA9FEA9FE",
            "2852039166",
            "0.0.0.0",
            "0",
            "100.64.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[fe80::1%25eth0]",
            "[fd00:ec2::254]",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[::a9fe:a9fe]",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
        ] {
            assert!(is_inside(host), "{host}");
        }
        for host in ["github.com", "8.8.8.8", "172.32.0.1", "100.128.0.1", "[2001:4860:4860::8888]", "git.example.org"]
        {
            assert!(!is_inside(host), "{host}");
        }
    }
}

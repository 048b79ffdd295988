//! Texts of the configuration file that follow a format: parsed once, into types that cannot be wrong.
//!
//! The schema names the format, so the check of a document finds a bad text along with everything else that is wrong.

use std::borrow::Cow;
use std::net::SocketAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::listen::{ClientName, Listen};
use crate::evidence::note::{KeyKind, VerifierKey};
use crate::outbound;
use crate::policy::{HostPattern, PathPattern};
use crate::proof::Name;
use crate::request::is_field_name;

/// A format: its name in the schema, and how a text of it is read.
pub trait Format: Sized {
    const NAME: &'static str;

    /// # Errors
    /// What was expected, and what was found.
    fn read(text: &str) -> Result<Self, String>;
}

/// A text that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<T>(T);

impl<T> Text<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }

    pub(super) fn into_inner(self) -> T {
        self.0
    }
}

impl<'de, T: Format> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        T::read(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl<T: Format> JsonSchema for Text<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": T::NAME})
    }
}

/// Checks a text by the name of its format.
///
/// # Errors
/// What was expected, and what was found.
pub(super) fn check(format: &str, text: &str) -> Result<(), String> {
    fn read<T: Format>(text: &str) -> Result<(), String> {
        T::read(text).map(|_| ())
    }
    match format {
        Authority::NAME => read::<Authority>(text),
        Client::NAME => read::<Client>(text),
        CollectorUrl::NAME => read::<CollectorUrl>(text),
        Component::NAME => read::<Component>(text),
        Duration::NAME => read::<Duration>(text),
        FieldName::NAME => read::<FieldName>(text),
        Host::NAME => read::<Host>(text),
        KeyUrl::NAME => read::<KeyUrl>(text),
        ListenAddress::NAME => read::<ListenAddress>(text),
        Method::NAME => read::<Method>(text),
        Party::NAME => read::<Party>(text),
        PathText::NAME => read::<PathText>(text),
        PolicyName::NAME => read::<PolicyName>(text),
        SocketAddress::NAME => read::<SocketAddress>(text),
        Subject::NAME => read::<Subject>(text),
        Tag::NAME => read::<Tag>(text),
        WitnessKey::NAME => read::<WitnessKey>(text),
        // Formats that schemars adds to numbers say nothing about texts.
        _ => Ok(()),
    }
}

macro_rules! formats {
    ($($(#[doc = $doc:literal])* $type:ident($inner:ty) = $name:literal, |$text:ident| $read:expr;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $type(pub $inner);

        impl Format for $type {
            const NAME: &'static str = $name;

            fn read($text: &str) -> Result<Self, String> {
                $read.map(Self)
            }
        }
    )*};
}

formats! {
    /// What clients call the resource.
    Authority(Box<str>) = "authority", |text| match HostPattern::parse(text) {
        Ok(_) if !text.starts_with("*.") => Ok(text.into()),
        _ => Err(format!("expected an authority in lower case such as bank.example, but found {text:?}")),
    };
    /// Whom a certificate is for.
    Client(ClientName) = "client-name", |text| text.parse();
    /// Where spans are sent.
    CollectorUrl(Box<str>) = "collector-url", |text| match outbound::plain_url(text) {
        Some(uri) if matches!(uri.path_and_query().map(|path| path.as_str()), None | Some("/")) => Ok(text.into()),
        _ => Err(format!("expected the URL of a collector such as http://localhost:4317, but found {text:?}")),
    };
    /// A component identifier.
    Component(Name<'static>) = "component", |text| Name::parse(text).map_err(|error| error.to_string());
    /// Whole seconds.
    Duration(i64) = "time-span", |text| humantime::parse_duration(text)
        .ok()
        // To humantime M is a month, and a typing error for m.
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit() || b"smhd ".contains(&byte)))
        .filter(|duration| duration.subsec_nanos() == 0 && *duration < std::time::Duration::from_hours(24 * 366))
        .and_then(|duration| i64::try_from(duration.as_secs()).ok())
        .ok_or_else(|| format!("expected whole seconds, minutes or hours such as 60s, 5m or 24h, but found {text:?}"));
    /// A host, or everything below one.
    Host(HostPattern) = "host", |text| HostPattern::parse(text).map_err(|error| error.to_string());
    /// Where keys are published.
    KeyUrl(Box<str>) = "key-url", |text| match outbound::plain_url(text) {
        Some(uri) if uri.scheme_str() == Some("https") || is_this_machine(uri.host()) => Ok(text.into()),
        Some(_) => Err(format!("expected https, since anybody on the way could change the keys, but found {text:?}")),
        None => Err(format!("expected an https URL without a user and a fragment, but found {text:?}")),
    };
    /// Where to listen.
    ListenAddress(Listen) = "listen-address", |text| text.parse();
    /// A method as clients send it.
    Method(Box<str>) = "method", |text| plain(text, |byte| byte.is_ascii_uppercase() || byte == b'-',
        "a method in upper case such as POST");
    /// Who writes a token, or whom it is for.
    Party(Box<str>) = "party", |text| plain(text, |byte| byte.is_ascii_graphic(),
        "a URL or another name in printable ASCII without spaces");
    /// A path pattern.
    PathText(PathPattern) = "path", |text| PathPattern::parse(text).map_err(|error| error.to_string());
    /// A name that can travel in a header.
    PolicyName(Box<str>) = "policy-name", |text| plain(text, |byte| byte.is_ascii_graphic(),
        "printable ASCII without spaces");
    /// An address and a port.
    SocketAddress(SocketAddr) = "socket-address", |text| text
        .parse()
        .map_err(|_| format!("expected an IP address and a port such as 0.0.0.0:8001, but found {text:?}"));
    /// Whose a key is.
    Subject(Box<str>) = "subject", |text| plain(text, |byte| byte.is_ascii_graphic() && byte != b',',
        "printable ASCII without spaces and commas");
    /// The value of a `tag` parameter.
    Tag(Box<str>) = "tag", |text| plain(text, |byte| matches!(byte, b' '..=b'~'), "printable ASCII");
    /// What the cosignatures of a witness verify with.
    WitnessKey(VerifierKey) = "witness-key", |text| match text.parse::<VerifierKey>() {
        Ok(key) if key.kind() == KeyKind::Cosignature => Ok(key),
        Ok(_) => Err("expected the key of a witness (type 0x04), but found one that signs notes (0x01)".to_owned()),
        Err(error) => Err(error.to_string()),
    };
}

/// The name of a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldName(pub Box<str>);

impl Format for FieldName {
    const NAME: &'static str = "field-name";

    fn read(text: &str) -> Result<Self, String> {
        let problem = || format!("expected a header name in lower case, but found {text:?}");
        is_field_name(text).then(|| Self(text.into())).ok_or_else(problem)
    }
}

fn is_this_machine(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn plain(text: &str, allowed: impl Fn(u8) -> bool, expected: &str) -> Result<Box<str>, String> {
    if !text.is_empty() && text.bytes().all(allowed) {
        Ok(text.into())
    } else {
        Err(format!("expected {expected}, but found {text:?}"))
    }
}

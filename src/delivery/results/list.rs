use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use serde_json::value::{RawValue, Value};

use super::ResultsPointer;
use crate::delivery::{Class, Classes};

/// What an answer says about each profile of its request, in their order. A response extension.
#[derive(Clone, Debug)]
pub struct Results(pub Arc<[ItemResult]>);

/// What an answer says about one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemResult {
    /// [`Class::Delivered`], [`Class::Later`] or [`Class::Refused`]: a single result says nothing
    /// about the endpoint as a whole.
    pub class: Class,
    /// The status, where the result names one.
    pub status: Option<StatusCode>,
    /// The result as it stands in the answer.
    pub text: Bytes,
}

/// Reads one result for each of `items` profiles. Fails with what was expected and what was found.
pub(super) fn read(
    body: &Bytes,
    at: Option<&ResultsPointer>,
    items: usize,
    classes: &Classes,
) -> Result<Arc<[ItemResult]>, String> {
    let root = serde_json::from_slice::<&RawValue>(body);
    let is_list = root.as_ref().is_ok_and(|root| root.get().starts_with('['));
    let (keys, place) = match at {
        Some(pointer) if pointer.keys().is_empty() => (&[][..], "in it".to_owned()),
        Some(pointer) => (pointer.keys(), format!("at {pointer}")),
        None if is_list => (&[][..], "in it".to_owned()),
        None => (&["results".to_owned()][..], "in it or at /results".to_owned()),
    };
    let expected = format!("a list of {items} results was expected {place}, found");
    let root = root.map_err(|error| format!("{expected} no JSON: {error}"))?;
    let list = find(root, keys);
    let list = list.ok_or_else(|| format!("{expected} nothing there"))?;
    let list: Vec<&RawValue> =
        serde_json::from_str(list.get()).map_err(|_| format!("{expected} something else"))?;
    if list.len() != items {
        return Err(format!("{expected} {}", list.len()));
    }
    let result = |(i, raw): (usize, &&RawValue)| {
        let (class, status) = judge(raw.get(), classes).ok_or_else(|| {
            format!(
                "result {} of {items} {place} says neither by status, statusCode, status_code or \
                 code, nor by success or ok, nor by error or errors what became of its profile",
                i + 1
            )
        })?;
        Ok(ItemResult { class, status, text: body.slice_ref(raw.get().as_bytes()) })
    };
    list.iter().enumerate().map(result).collect()
}

/// The value that the keys lead to.
fn find<'a>(root: &'a RawValue, keys: &[String]) -> Option<&'a RawValue> {
    keys.iter().try_fold(root, |at, key| {
        if at.get().starts_with('[') {
            let list: Vec<&RawValue> = serde_json::from_str(at.get()).ok()?;
            return list.get(key.parse::<usize>().ok()?).copied();
        }
        let members: HashMap<String, &RawValue> = serde_json::from_str(at.get()).ok()?;
        members.get(key).copied()
    })
}

fn judge(result: &str, classes: &Classes) -> Option<(Class, Option<StatusCode>)> {
    let by_status = |status| {
        let class = match classes.of_status(status) {
            // One profile's 404 is not the endpoint's.
            Class::Endpoint => Class::Refused,
            class => class,
        };
        (class, Some(status))
    };
    let by_success = |success| (if success { Class::Delivered } else { Class::Refused }, None);
    if !result.starts_with('{') {
        return serde_json::from_str(result).ok().as_ref().and_then(status).map(by_status);
    }
    let members: HashMap<String, &RawValue> = serde_json::from_str(result).ok()?;
    // In this order: of a result that says both, the status says more.
    let named = |names: &[&str]| -> Vec<Value> {
        let written = names.iter().filter_map(|name| members.get(*name));
        written.filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect()
    };
    if let Some(status) =
        named(&["status", "statusCode", "status_code", "code"]).iter().find_map(status)
    {
        return Some(by_status(status));
    }
    if let Some(success) = named(&["success", "ok"]).iter().find_map(Value::as_bool) {
        return Some(by_success(success));
    }
    let errors = named(&["error", "errors"]);
    (!errors.is_empty()).then(|| by_success(errors.iter().all(is_empty)))
}

/// A status of an answer, as a number or its digits.
fn status(value: &Value) -> Option<StatusCode> {
    let code = match value {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let code = u16::try_from(code).ok().filter(|code| (200..=599).contains(code))?;
    StatusCode::from_u16(code).ok()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Number(_) => false,
    }
}

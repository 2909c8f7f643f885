use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt};

use super::{Expected, Results, ResultsLayer};
use crate::delivery::{
    AttemptError, Class, Classes, Trail,
    test_support::{Outcome, Script},
};

#[expect(clippy::unnecessary_wraps, reason = "a script plays outcomes")]
fn answer(status: u16, body: &'static str) -> Outcome {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(answer)
}

/// What comes back for an answer to a request with so many profiles.
async fn deliver(items: usize, at: Option<&str>, answer: Outcome, trail: &Trail) -> Outcome {
    let service = ResultsLayer::new(Classes::default()).layer(Script::of([answer]));
    let mut request = Request::new(Bytes::new());
    let at = at.map(|pointer| pointer.parse().unwrap());
    request.extensions_mut().insert(Expected { items, at });
    request.extensions_mut().insert(trail.clone());
    service.oneshot(request).await
}

async fn classes(items: usize, at: Option<&str>, status: u16, body: &'static str) -> Vec<Class> {
    let answer = deliver(items, at, answer(status, body), &Trail::default()).await.unwrap();
    let Results(results) = answer.extensions().get().unwrap();
    results.iter().map(|result| result.class).collect()
}

async fn reason(items: usize, at: Option<&str>, status: u16, body: &'static str) -> String {
    let trail = Trail::default();
    let error = deliver(items, at, answer(status, body), &trail).await.unwrap_err();
    assert!(matches!(error, AttemptError::Results { .. }), "{error}");
    assert!(trail.unknown(), "some may have been taken");
    error.to_string()
}

#[tokio::test]
async fn the_list_is_the_answer_its_results_or_where_the_pointer_leads() {
    let both = [Class::Delivered, Class::Refused];
    assert_eq!(classes(2, None, 207, "[200, 422]").await, both);
    assert_eq!(classes(2, None, 207, r#"{"results": [200, 422], "x": 1}"#).await, both);
    assert_eq!(classes(2, Some("/a/1/b"), 200, r#"{"a":[0,{"b":[200,422]}]}"#).await, both);
    assert_eq!(classes(2, Some("/a~1b"), 207, r#"{"a/b":[200,422],"results":[]}"#).await, both);
    assert_eq!(classes(2, Some(""), 201, "[200,422]").await, both);
}

#[tokio::test]
async fn a_result_is_told_by_status_then_success_then_errors() {
    for (result, class) in [
        ("[201]", Class::Delivered),
        ("[503]", Class::Later),
        ("[429]", Class::Later),
        ("[404]", Class::Refused),
        ("[401]", Class::Refused),
        (r#"[{"status":200,"error":"none"}]"#, Class::Delivered),
        (r#"[{"statusCode":"422"}]"#, Class::Refused),
        (r#"[{"status_code":204}]"#, Class::Delivered),
        (r#"[{"code":500,"success":true}]"#, Class::Later),
        (r#"[{"status":"created","success":true}]"#, Class::Delivered),
        (r#"[{"ok":false}]"#, Class::Refused),
        (r#"[{"success":true,"errors":["a warning"]}]"#, Class::Delivered),
        (r#"[{"id":7,"error":null}]"#, Class::Delivered),
        (r#"[{"id":7,"errors":[]}]"#, Class::Delivered),
        (r#"[{"id":7,"errors":[{"field":"a"}]}]"#, Class::Refused),
        (r#"[{"error":null,"errors":["x"]}]"#, Class::Refused),
    ] {
        assert_eq!(classes(1, None, 207, result).await, [class], "{result}");
    }
}

#[tokio::test]
async fn what_cannot_be_attributed_fails_and_says_what_was_expected_and_found() {
    for (items, at, body, expected) in [
        (2, None, "", "2 results"),
        (2, None, "[200]", "2 results was expected in it, found 1"),
        (2, None, r#"{"result":[200,200]}"#, "in it or at /results, found nothing"),
        (2, None, r#"{"results":2}"#, "found something else"),
        (1, Some("/a/9"), r#"{"a":[0]}"#, "at /a/9, found nothing"),
        (2, None, "[200,200", "no JSON"),
        (1, None, r#"[{"id":7}]"#, "result 1 of 1"),
        (1, None, "[null]", "result 1 of 1"),
        (1, None, "[0]", "result 1 of 1"),
        (1, None, r#"["200 "]"#, "result 1 of 1"),
    ] {
        let reason = reason(items, at, 207, body).await;
        assert!(reason.contains(expected), "{body}: {reason}");
        assert!(reason.contains("207") && reason.contains("batch.results_pointer"), "{reason}");
    }
}

#[tokio::test]
async fn other_answers_are_passed_on() {
    for (at, status) in [(None, 200), (None, 202), (None, 400), (Some("/results"), 422)] {
        let passed = deliver(2, at, answer(status, "{}"), &Trail::default()).await.unwrap();
        assert_eq!(passed.status().as_u16(), status);
        assert!(passed.extensions().get::<Results>().is_none());
    }
}

#[tokio::test]
async fn a_result_keeps_its_own_words() {
    let body = r#"[{"status":422, "why":"no mail"}]"#;
    let answer = deliver(1, None, answer(207, body), &Trail::default()).await.unwrap();
    let Results(results) = answer.extensions().get().unwrap();
    assert_eq!(results[0].text, r#"{"status":422, "why":"no mail"}"#);
    assert_eq!(results[0].status, Some(StatusCode::UNPROCESSABLE_ENTITY));
}

//! The pages in a server of the user's: by `tower`, and in an application of `axum`'s, under any path.
#![allow(missing_docs)]
use std::future::poll_fn;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use profiled::http::Handler;
use profiled::http::axum::router;
use profiled_test_reader::Profile;
use tower_service::Service;

profiled::profile! { static CONNS = "example.com/conns"; }

/// Status, the header `Location`, and the body.
type Got = (u16, String, Vec<u8>);

/// What a stack of services answers, on a runtime with nothing on it but this.
async fn call<S, B>(service: &mut S, request: Request<Full<Bytes>>) -> Got
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = std::convert::Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    let response = service.call(request).await.unwrap();
    let status = response.status().as_u16();
    let location = response.headers().get("location").map_or("", |to| to.to_str().unwrap()).to_owned();
    (status, location, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn a_service_of_towers() {
    let mut service = profiled::http::tower::Service::new(Handler::new().token("s3cret"));
    block_on(async {
        assert_eq!(call(&mut service, request("GET", "/debug/pprof/", "")).await.0, 401);
        let with_token = |method, path, body| {
            let mut request = request(method, path, body);
            request.headers_mut().insert("authorization", "Bearer s3cret".parse().unwrap());
            let mut service = service.clone();
            async move { call(&mut service, request).await }
        };
        let member = CONNS.track();
        let (status, _, body) = with_token("GET", "/debug/pprof/example.com/conns", "").await;
        assert_eq!((status, Profile::read(&body).total("example.com/conns")), (200, 1));
        drop(member);
        assert_eq!(with_token("POST", "/debug/pprof/symbol", "0x0").await.2, b"num_symbols: 1\n");
        assert_eq!(with_token("GET", "/debug/pprof", "").await.1, "/debug/pprof/");
    });
}

/// The one thread of a runtime goes on while a window passes, and while what is collected is written.
#[test]
fn a_window_blocks_no_thread_of_the_executor() {
    let service = profiled::http::tower::Service::new(Handler::new());
    block_on(async {
        let mut waiting = Box::pin(async {
            let mut service = service.clone();
            call(&mut service, request("GET", "/debug/pprof/example.com/conns?seconds=1", "")).await
        });
        // Neither poll may take long: what would block is the poll itself.
        let mut polls = Vec::new();
        let status = poll_fn(|cx| {
            let begin = std::time::Instant::now();
            let polled = waiting.as_mut().poll(cx);
            polls.push(begin.elapsed());
            polled.map(|(status, ..)| status)
        })
        .await;
        assert_eq!(status, 200);
        assert!(polls.len() > 1, "it was never pending");
        let longest = polls.iter().max().unwrap();
        // A window of a second that is waited for in one of them takes that long. The rest is what a machine may steal.
        assert!(*longest < Duration::from_millis(900), "{polls:?}");
    });
}

#[test]
fn in_an_application_under_any_path() {
    let app = Router::new()
        .route("/", get(|| async { "home" }))
        .merge(router(Handler::new()))
        .nest("/ops", router(Handler::new()))
        .merge(router(Handler::new().prefix("/d/pprof/")))
        .nest("/a", Router::new().nest("/b", router(Handler::new())))
        .fallback(|| async { (http::StatusCode::IM_A_TEAPOT, "somebody else's") });
    let mut app: Router = app.with_state(());
    let (address, ours) = ("http://localhost", "<h2>Profiles</h2>");
    block_on(async {
        for base in ["/debug/pprof", "/ops/debug/pprof", "/d/pprof", "/a/b/debug/pprof"] {
            let (status, to, _) = call(&mut app, request("GET", base, "")).await;
            assert_eq!((status, to.as_str()), (307, format!("{base}/").as_str()), "links are relative");
            for path in [format!("{base}/"), format!("{address}{base}/")] {
                let (status, _, page) = call(&mut app, request("GET", &path, "")).await;
                let page = String::from_utf8(page).unwrap();
                assert!(status == 200 && page.contains(ours), "{path}: {status}");
                assert!(page.contains(&format!("go tool pprof http://localhost{base}/heap")), "{page}");
            }
            for (path, status) in [
                ("example.com/conns?debug=1", 200),
                ("example.com%2fconns", 200),
                ("profile?seconds=x", 400),
                ("nope", 404),
                ("cmdline", 200),
            ] {
                let path = format!("{base}/{path}");
                assert_eq!(call(&mut app, request("GET", &path, "")).await.0, status, "{path}");
            }
            let posted = call(&mut app, request("POST", &format!("{base}/symbol"), "0x0")).await;
            assert_eq!((posted.0, posted.2), (200, b"num_symbols: 1\n".to_vec()));
            assert_eq!(call(&mut app, request("DELETE", &format!("{base}/cmdline"), "")).await.0, 405);
        }
        // What is not ours is somebody else's.
        assert_eq!(call(&mut app, request("GET", "/", "")).await.2, b"home");
        for path in ["/debug", "/debug/pprofx", "/ops", "/ops/debug/x", "/d/pprofx/"] {
            assert_eq!(call(&mut app, request("GET", path, "")).await.0, 418, "{path}");
        }
        // The rules are the same.
        let mut stranger = request("GET", "/ops/debug/pprof/", "");
        stranger.headers_mut().insert("host", "evil.example".parse().unwrap());
        assert_eq!(call(&mut app, stranger).await.0, 421);
    });
}

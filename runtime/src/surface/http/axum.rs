//! The pages in an application of `axum`'s: feature `axum`.
use ::axum::Router;
use ::axum::extract::OriginalUri;
use ::axum::routing::any;

use super::{Handler, Original};

/// Routes for the pages of `h`, to be merged into an application or nested in it under any path.
///
/// Merged, they are under the handler's own prefix, `/debug/pprof/`. Nested at `/ops`, they are under
/// `/ops/debug/pprof/`. To have them at `/d/pprof/`, say so by [`Handler::prefix`].
///
/// ```no_run
/// use axum::Router;
/// use profiled::http::{Handler, axum::router};
///
/// let app: Router = Router::new()
///     .nest("/ops", router(Handler::new()))
///     .merge(router(Handler::new().prefix("/d/pprof")));
/// # drop(app);
/// ```
///
/// Waiting for `seconds` blocks none of the application's threads. Who can reach them is up to the application; the
/// handler's rules about `Host`, origin and token hold here, too.
pub fn router<S: Clone + Send + Sync + 'static>(h: Handler) -> Router<S> {
    let prefix = h.path().to_owned();
    let answer = any(move |uri: OriginalUri, mut request: ::axum::extract::Request| {
        // What it was before whatever it is nested in took its part away.
        request.extensions_mut().insert(Original(uri.0));
        let answer = h.handle(request);
        async move { answer.await.map(::axum::body::Body::new) }
    });
    let router = Router::new()
        .route(&format!("{prefix}/{{*page}}"), answer.clone())
        .route(&format!("{prefix}/"), answer.clone());
    match prefix.as_str() {
        "" => router,
        prefix => router.route(prefix, answer),
    }
}

//! `/_sandtable/page/*`: what the inspector needs beside the other calls, in the shapes that it draws. They
//! change with the page.

mod files;
mod timeline;
mod turn;

use axum::Router;
use axum::routing::get;

use crate::app::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/_sandtable/page/timeline", get(timeline::list))
        .route("/_sandtable/page/turns/{id}", get(turn::show))
        .route("/_sandtable/page/files/{id}", get(files::content))
}

#[cfg(test)]
mod tests;

//! `/apps/{app}/views`

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::value::RawValue;
use tally_core::app::role::Role;
use tally_core::app::view::{
    MAX_VIEW_NAME, MAX_VIEW_QUERY, MAX_VIEWS, View, ViewOwner, check_view_name, check_view_query,
};
use tally_core::time::Timestamp;
use tally_http::body::{Fields, FromFields, JsonBody};
use tally_http::credentials::in_query;
use tally_http::guard::{Caller, Target};
use tally_http::openapi::{JSON, Operation, Parameter, one_of};
use tally_http::parameters::{FromQuery, NoQuery, Params, Query};
use tally_http::problem::{Problem, json};
use tally_http::routes::{DELETE_VIEW, LIST_VIEWS, SAVE_VIEW};
use tally_http::service::Shared;
use tally_service::apps::views::{SaveViewError, delete_view, save_view};

/// For whom a view is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ViewScope")]
pub(crate) enum Scope {
    /// The user who saved it.
    #[default]
    Me,
    /// Everyone who may read the app.
    App,
}

impl Scope {
    const WORDS: [(&str, Self); 2] = [("me", Self::Me), ("app", Self::App)];
}

/// A saved view.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "View")]
struct ViewBody {
    name: String,
    /// The query string of the page.
    query: String,
    scope: Scope,
    /// Whether the page opens with it.
    default: bool,
    /// The user who saved it last; not shown to keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    created_at: Timestamp,
}

impl ViewBody {
    fn new(View { name, query, default, by, created_at }: View, scope: Scope, shows_user: bool) -> Self {
        Self { name, query, scope, default, by: shows_user.then_some(by), created_at }
    }
}

/// The views that a caller may open.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Views")]
struct ViewList {
    /// The own ones first, each by name.
    items: Vec<ViewBody>,
}

/// `GET /apps/{app}/views`
pub(crate) async fn list(
    State(context): Shared,
    Target(app): Target,
    Extension(caller): Extension<Caller>,
    _: NoQuery,
) -> Result<Response, Problem> {
    let mut items = vec![];
    let user = user_of(&caller);
    let own = user.clone().map(|(name, _)| (ViewOwner::User(name), Scope::Me));
    for (owner, scope) in own.into_iter().chain([(ViewOwner::App, Scope::App)]) {
        let (mut views, _) = context.store.views(&app.id, &owner).await?;
        views.sort_by(|a, b| a.name.cmp(&b.name));
        items.extend(views.into_iter().map(|view| ViewBody::new(view, scope, user.is_some())));
    }
    json(StatusCode::OK, &ViewList { items })
}

/// `PUT /apps/{app}/views/{name}`
pub(crate) async fn save(
    State(context): Shared,
    Target(app): Target,
    Extension(caller): Extension<Caller>,
    Path((_, name)): Path<(String, String)>,
    _: NoQuery,
    JsonBody(ViewInput { query, scope, default }): JsonBody<ViewInput>,
) -> Result<Response, Problem> {
    check_view_name(&name).map_err(|error| Problem::field("name", error.to_string()))?;
    let (owner, by) = owner(&caller, scope)?;
    let view = View { name, query, default, by, created_at: context.clock.now() };
    let is_new = save_view(&context.store, &app.id, &owner, &view).await.map_err(problem)?;
    let (views, _) = context.store.views(&app.id, &owner).await?;
    let kept = views.into_iter().find(|kept| kept.name == view.name).unwrap_or(view);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    json(status, &ViewBody::new(kept, scope, true))
}

/// `DELETE /apps/{app}/views/{name}`
pub(crate) async fn delete(
    State(context): Shared,
    Target(app): Target,
    Extension(caller): Extension<Caller>,
    Path((_, name)): Path<(String, String)>,
    Query(AskedScope(scope)): Query<AskedScope>,
) -> Result<Response, Problem> {
    let (owner, _) = owner(&caller, scope)?;
    if !delete_view(&context.store, &app.id, &owner, &name).await.map_err(problem)? {
        return Err(Problem::NotFound("there is no such view: GET the views of the app to list them".to_owned()));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn user_of(caller: &Caller) -> Option<(String, Role)> {
    match caller {
        Caller::User { name, role, .. } => Some((name.clone(), *role)),
        _ => None,
    }
}

/// Whose views a user changes, and the user.
fn owner(caller: &Caller, scope: Scope) -> Result<(ViewOwner, String), Problem> {
    let Some((name, role)) = user_of(caller) else {
        return Err(Problem::Forbidden("this needs a signed-in user: a key has no views".to_owned()));
    };
    match scope {
        Scope::Me => Ok((ViewOwner::User(name.clone()), name)),
        Scope::App if role == Role::Admin => Ok((ViewOwner::App, name)),
        Scope::App => Err(Problem::Forbidden(
            "views for everyone need the role `admin`: save it for yourself, with the scope `me`".to_owned(),
        )),
    }
}

fn problem(error: SaveViewError) -> Problem {
    match error {
        SaveViewError::Full | SaveViewError::Busy => Problem::Conflict(error.to_string()),
        SaveViewError::Store(error) => error.into(),
    }
}

/// A view to save.
pub(crate) struct ViewInput {
    query: String,
    scope: Scope,
    default: bool,
}

impl FromFields for ViewInput {
    const HINT: &'static str = "a view has query, scope and default";

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let query = fields.text("query").unwrap_or_default();
        let checked = fields.keep("query", check_view_query(&query));
        if in_query(Some(&query)).is_some() {
            fields.add("query", "holds a key or token, which others would see: leave it out");
        }
        let scope = fields.choice("scope", &Scope::WORDS);
        let default = fields.raw("default").map(RawValue::get);
        if default.is_some_and(|default| !["true", "false", "null"].contains(&default)) {
            fields.add("default", "must be true or false");
        }
        checked.map(|()| Self { query, scope: scope.unwrap_or_default(), default: default == Some("true") })
    }
}

/// The scope of a view to delete.
pub(crate) struct AskedScope(Scope);

impl FromQuery for AskedScope {
    fn read(params: &mut Params, _: Timestamp) -> Option<Self> {
        Some(Self(params.choice("scope", &Scope::WORDS).unwrap_or_default()))
    }
}

fn name() -> Parameter {
    let schema = json_schema!({"type": "string", "minLength": 1, "maxLength": MAX_VIEW_NAME, "pattern": "^[^/]+$"});
    Parameter::path("name", "The name of the view.", schema)
}

pub(crate) fn operations(schemas: &mut SchemaGenerator) -> [Operation; 3] {
    let body = json_schema!({
        "type": "object",
        "properties": {
            "query": {
                "description": "The query string of the page, percent-encoded and without `?`. Without one it is the page as it opens.",
                "type": ["string", "null"], "maxLength": MAX_VIEW_QUERY,
            },
            "scope": {
                "description": "For whom it is: `me`, or `app` for everyone who may read the app, which only admins may save.",
                "type": ["string", "null"], "enum": ["me", "app", "", null],
            },
            "default": {
                "description": "Whether the page opens with it, in place of the default before.",
                "type": ["boolean", "null"],
            },
        },
        "additionalProperties": false,
    });
    [
        Operation::of(&LIST_VIEWS, "listViews", "Lists saved views")
            .about("The user's own and those of the app; to a key those of the app.")
            .answers_with::<ViewList>(schemas, StatusCode::OK, "All of them."),
        Operation::of(&SAVE_VIEW, "saveView", "Saves a view, in place of the one of its name")
            .about(format!("A user has at most {MAX_VIEWS} in an app, and an app {MAX_VIEWS} for everyone."))
            .takes([name()])
            .optional_body(JSON, body)
            .answers_with::<ViewBody>(schemas, StatusCode::CREATED, "The view, which is new.")
            .answers_with::<ViewBody>(schemas, StatusCode::OK, "The view, which was there.")
            .refuses([StatusCode::CONFLICT]),
        Operation::of(&DELETE_VIEW, "deleteView", "Deletes a saved view")
            .takes([name(), Parameter::query("scope", "For whom it is.", one_of(&["me", "app"]))])
            .answers_empty(StatusCode::NO_CONTENT, "It is gone.")
            .refuses([StatusCode::CONFLICT]),
    ]
}

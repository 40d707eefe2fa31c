//! The one writer of the database: it makes one transaction of everything that waits.
//!
//! dynoxide 3.2.0 commits each item by itself, also those of a `BatchWriteItem`, and a commit costs more than the write
//! of a small item. Here the requests that wait at the same time share a transaction, and are answered once it is
//! committed. A request that fails is undone alone, up to its savepoint. Requests of few items go before those of many,
//! so they wait for one transaction at most.
//!
//! Whoever finds the writer free works for all that wait, on its own thread: switching to another thread and back takes as
//! long as a small write. It does one transaction; what came meanwhile is left to a thread of the writer.
//!
//! dynoxide's actions begin and commit transactions of their own. SQLite asks an authorizer before it compiles such a
//! statement; within a shared transaction it is told to ignore them. In dynoxide this would be a `Database::together`
//! that takes several requests. Only this module knows of it, so it can be replaced by that.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake};
use std::thread::{self, JoinHandle, Thread};

use dynoxide::storage::Storage;
use dynoxide::{Database, DynoxideError};
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// The weight of the requests that share a transaction: a weight is an item, or a KB of JSON. About 5 ms of work.
const TOGETHER: usize = 256;
/// The heaviest request that goes before others.
const SHORT: usize = 4;
/// Prepared statements that are kept.
const STATEMENTS: usize = 128;
/// Pages of the write-ahead log after which they are moved into the database: 16 MB. A page that changes often is then
/// written to the database once.
const LOG_PAGES: i64 = 4_000;
/// KB of the pages that the writer keeps in memory.
const CACHE_KB: i64 = 16_000;

/// What waits for the writer.
#[derive(Default)]
struct Waiting {
    short: VecDeque<Job>,
    long: VecDeque<Job>,
    closed: bool,
}

struct Queue {
    waiting: Mutex<Waiting>,
    /// Tells the thread that something waits.
    news: Condvar,
    desk: Mutex<Desk>,
    /// Counts what was committed.
    commits: Arc<AtomicU64>,
}

/// Answers a request once it is known whether its transaction is committed; otherwise with the error.
type Answer = Box<dyn FnOnce(Result<(), &str>) + Send>;

/// What a request does with the desk.
type Work = Box<dyn FnOnce(Result<&mut Desk, &str>) -> Done + Send>;

/// A request. It is given the desk, or the error of the transaction that it would have been a part of.
struct Job {
    weight: usize,
    /// Whether it makes transactions of its own.
    alone: bool,
    run: Work,
}

struct Done {
    answer: Answer,
    error: Option<String>,
}

/// What the writer works with.
pub(crate) struct Desk {
    /// dynoxide's storage layer, whose connection all shared transactions use.
    pub(crate) storage: Storage,
    /// dynoxide with a connection of its own: for transactions with tokens, and for changes of tables.
    pub(crate) database: Database,
    /// The last sequence number of each stream, where this process wrote it.
    pub(crate) sequences: HashMap<String, i64>,
    name: String,
    shared: Arc<Shared>,
    commits: Arc<AtomicU64>,
}

/// What the authorizer of the connection knows.
#[derive(Default)]
struct Shared {
    /// Whether a shared transaction is open, in which no other may begin or end.
    open: AtomicBool,
}

/// A handle to the writer. The writer ends with it, once nothing waits.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.news.notify_all();
        // Its files are closed when this returns. It catches panics.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one transaction, if nobody else does one. Where a runtime has one thread, does all that waits: another thread would
    /// save nothing, and a test whose clock jumps while its runtime waits would run into time-outs.
    fn help(&self) {
        if Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread) {
            let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let jobs = self.lock().take();
                if jobs.is_empty() {
                    return;
                }
                desk.work(jobs);
            }
        }
        let desk = match self.desk.try_lock() {
            Ok(desk) => Some(desk),
            Err(TryLockError::Poisoned(desk)) => Some(desk.into_inner()),
            // Whoever has it sees afterwards what waits now.
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut desk) = desk {
            let jobs = self.lock().take();
            desk.work(jobs);
            drop(desk);
            if !self.lock().is_empty() {
                self.news.notify_one();
            }
        }
    }

    /// Works until the handle is gone and nothing waits.
    fn serve(&self) {
        loop {
            let mut waiting = self.lock();
            while waiting.is_empty() {
                if waiting.closed {
                    return;
                }
                waiting = self.news.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            drop(waiting);
            let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
            let jobs = self.lock().take();
            desk.work(jobs);
        }
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty()
    }

    /// Takes the requests of the next transaction: the short ones first, and at least one long one, so that those do
    /// not wait forever.
    fn take(&mut self) -> Vec<Job> {
        if self.long.front().is_some_and(|job| job.alone) {
            return self.long.pop_front().into_iter().collect();
        }
        let (mut jobs, mut weight) = (vec![], 0);
        while weight < TOGETHER
            && let Some(job) = self.short.pop_front()
        {
            weight += job.weight;
            jobs.push(job);
        }
        let mut is_first = true;
        while (is_first || weight < TOGETHER)
            && let Some(job) = self.long.pop_front_if(|job| !job.alone)
        {
            weight += job.weight;
            jobs.push(job);
            is_first = false;
        }
        jobs
    }
}

impl Writer {
    /// Opens the connections of a database and starts the thread.
    pub(crate) fn start(name: &str) -> Result<Self, DynoxideError> {
        let commits = Arc::new(AtomicU64::new(0));
        let desk = Mutex::new(Desk::open(name, Arc::clone(&commits))?);
        let queue = Arc::new(Queue { waiting: Mutex::default(), news: Condvar::new(), desk, commits });
        let served = Arc::clone(&queue);
        let thread = thread::Builder::new().name("writer".to_owned()).spawn(move || served.serve());
        let thread = thread.map_err(|e| DynoxideError::InternalServerError(format!("cannot start the writer: {e}")))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// A number that grows with every transaction, before those in it are answered.
    pub(crate) fn commits(&self) -> u64 {
        self.queue.commits.load(Ordering::Acquire)
    }

    /// Has a request of a weight run within a shared transaction.
    pub(crate) fn together<T: Send + 'static>(
        &self,
        weight: usize,
        run: impl FnOnce(&mut Desk) -> Result<T, DynoxideError> + Send + 'static,
    ) -> Promise<T> {
        self.put(weight, false, run)
    }

    /// Has a request run that makes transactions of its own.
    pub(crate) fn alone<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut Desk) -> Result<T, DynoxideError> + Send + 'static,
    ) -> Promise<T> {
        self.put(TOGETHER, true, run)
    }

    fn put<T: Send + 'static>(
        &self,
        weight: usize,
        alone: bool,
        run: impl FnOnce(&mut Desk) -> Result<T, DynoxideError> + Send + 'static,
    ) -> Promise<T> {
        let (answer, promise) = oneshot::channel();
        let run = move |desk: Result<&mut Desk, &str>| {
            let done = match desk {
                Ok(desk) => run(desk),
                Err(error) => Err(DynoxideError::InternalServerError(error.to_owned())),
            };
            let error = done.as_ref().err().map(ToString::to_string);
            let answer: Answer = Box::new(move |committed| {
                let done = match committed {
                    Ok(()) => done,
                    Err(error) => Err(DynoxideError::InternalServerError(error.to_owned())),
                };
                // Nobody may wait any more.
                let _ = answer.send(done);
            });
            Done { answer, error }
        };
        let job = Job { weight, alone, run: Box::new(run) };
        let mut waiting = self.queue.lock();
        if weight <= SHORT && !alone {
            waiting.short.push_back(job);
        } else {
            waiting.long.push_back(job);
        }
        drop(waiting);
        Promise { done: promise, queue: Some(Arc::clone(&self.queue)) }
    }
}

/// The reply to a request that the writer has.
pub(crate) struct Promise<T> {
    done: oneshot::Receiver<Result<T, DynoxideError>>,
    /// Until its owner has helped.
    queue: Option<Arc<Queue>>,
}

impl<T> Promise<T> {
    /// Waits for it.
    pub(crate) async fn get(mut self) -> Result<T, DynoxideError> {
        // Others may put their requests first, to share the transaction.
        tokio::task::yield_now().await;
        self.help();
        (&mut self.done).await.unwrap_or_else(|_| Err(gone()))
    }

    /// Waits for it on this thread, also where it belongs to a runtime.
    pub(crate) fn get_blocking(mut self) -> Result<T, DynoxideError> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        self.help();
        let waker = Arc::new(Unpark(thread::current())).into();
        loop {
            match Pin::new(&mut self.done).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(done) => return done.unwrap_or_else(|_| Err(gone())),
                Poll::Pending => thread::park(),
            }
        }
    }

    fn help(&mut self) {
        if let Some(queue) = self.queue.take()
            // Someone else may have done it already.
            && self.done.is_empty()
        {
            queue.help();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        // Its request must not wait for the next one.
        if let Some(queue) = &self.queue {
            queue.news.notify_one();
        }
    }
}

fn gone() -> DynoxideError {
    DynoxideError::InternalServerError("the writer gave up on a request".to_owned())
}

impl Desk {
    fn open(name: &str, commits: Arc<AtomicU64>) -> Result<Self, DynoxideError> {
        let database = Database::new(name)?;
        // This is the only way to set `synchronous = NORMAL`. Commits still survive the end of the process, and a put
        // takes a third of the time.
        database.enable_bulk_loading().and_then(|()| database.disable_bulk_loading())?;
        let shared = Arc::new(Shared::default());
        Ok(Self {
            storage: storage(name, &shared)?,
            database,
            sequences: HashMap::new(),
            name: name.to_owned(),
            shared,
            commits,
        })
    }

    /// Forgets what dynoxide remembers of the tables.
    pub(crate) fn reopen(&mut self) -> Result<(), DynoxideError> {
        self.storage = storage(&self.name, &self.shared)?;
        self.sequences.clear();
        Ok(())
    }

    /// The connection of the shared transactions.
    pub(crate) fn connection(&self) -> &Connection {
        self.storage.conn()
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection().prepare_cached(sql)?.execute([]).map(drop)
    }

    fn work(&mut self, mut jobs: Vec<Job>) {
        if jobs.first().is_some_and(|job| job.alone)
            && let Some(job) = jobs.pop()
        {
            let done = catch_unwind(AssertUnwindSafe(|| (job.run)(Ok(&mut *self))));
            self.sequences.clear();
            if !self.connection().is_autocommit() {
                // A panic has left it open.
                let _ = self.run("ROLLBACK");
            }
            self.commits.fetch_add(1, Ordering::Release);
            if let Ok(done) = done {
                (done.answer)(Ok(()));
            }
            return;
        }
        if jobs.is_empty() {
            return;
        }
        let mut answers = Vec::with_capacity(jobs.len());
        let committed = self.transaction(&mut jobs.into_iter(), &mut answers);
        if committed.is_err() {
            self.sequences.clear();
        }
        self.commits.fetch_add(1, Ordering::Release);
        let committed = committed.as_ref().map(|&()| ()).map_err(String::as_str);
        for answer in answers {
            answer(committed);
        }
    }

    /// Runs requests in one transaction. Where it fails, those that are left get its error too.
    fn transaction(&mut self, jobs: &mut dyn Iterator<Item = Job>, answers: &mut Vec<Answer>) -> Result<(), String> {
        let mut done = self.run("BEGIN IMMEDIATE").map_err(|error| error.to_string());
        while done.is_ok()
            && let Some(job) = jobs.next()
        {
            done = self.step(job, answers);
        }
        let done = done.and_then(|()| self.run("COMMIT").map_err(|error| error.to_string()));
        if let Err(error) = &done {
            if !self.connection().is_autocommit() {
                // Report the first error.
                let _ = self.run("ROLLBACK");
            }
            for job in jobs {
                answers.push((job.run)(Err(error)).answer);
            }
        }
        done
    }

    /// Runs one request, and undoes what it did if it fails.
    fn step(&mut self, job: Job, answers: &mut Vec<Answer>) -> Result<(), String> {
        self.run("SAVEPOINT request").map_err(|error| error.to_string())?;
        self.shared.open.store(true, Ordering::Relaxed);
        let done = catch_unwind(AssertUnwindSafe(|| (job.run)(Ok(self))));
        self.shared.open.store(false, Ordering::Relaxed);
        let error = match done {
            Ok(done) => {
                answers.push(done.answer);
                done.error
            }
            // Its promise is broken, which its owner sees.
            Err(_) => Some("a request failed".to_owned()),
        };
        if let Some(error) = error {
            self.sequences.clear();
            // SQLite gives up the whole transaction for some errors, such as a full disk.
            self.run("ROLLBACK TO request").map_err(|_| error)?;
        }
        self.run("RELEASE request").map_err(|error| error.to_string())
    }
}

/// Opens dynoxide's storage layer with a connection for shared transactions.
fn storage(name: &str, shared: &Arc<Shared>) -> Result<Storage, DynoxideError> {
    let storage = Storage::new(name)?;
    let connection = storage.conn();
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let shared = Arc::clone(shared);
    connection.authorizer(Some(move |context: AuthContext<'_>| match context.action {
        AuthAction::Transaction { .. } if shared.open.load(Ordering::Relaxed) => Authorization::Ignore,
        _ => Authorization::Allow,
    }));
    Ok(storage)
}

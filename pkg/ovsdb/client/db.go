// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"k8s.io/utils/clock"
)

var (
	// ErrNotConnected means that there is no synced connection. Nothing was sent.
	ErrNotConnected = errors.New("not connected to the database")
	// ErrUnknownOutcome means that the connection or the caller's context ended while a transaction was in flight: it
	// may or may not have been committed.
	ErrUnknownOutcome = errors.New("outcome of the transaction is unknown")
)

const (
	// maxTimeout bounds the time for the requests of the handshake with one endpoint.
	maxTimeout = 30 * time.Second
	// minProbe is the shortest probe interval.
	minProbe = 100 * time.Millisecond
	// firstPause and lastPause bound the back-off after all endpoints have failed.
	firstPause = 100 * time.Millisecond
	lastPause  = time.Second
	// stable is the minimum duration of a session whose end does not count as a failure.
	stable = 10 * time.Second
)

// DB is a client of one database: a live copy (the cache) and transactions. All methods are safe for concurrent use.
type DB struct {
	cfg       Config
	endpoints []endpoint
	columns   map[string][]string // columns to monitor, by table
	model     model.DatabaseModel
	notifier  *notifier
	running   atomic.Bool

	store   atomic.Pointer[store]   // the last complete cache
	session atomic.Pointer[session] // nil when not synced

	mu     sync.Mutex
	synced chan struct{} // closed while synced

	// resume is the state that the store has, for monitor_cond_since. Only sessions use it, one after another.
	resume resumePoint
}

// resumePoint names a state of the server's database: the last transaction that a monitor with these requests has seen.
// Other monitor requests start without it.
type resumePoint struct {
	txn      string
	requests string
}

// New checks cfg and returns a DB that does nothing until Run.
func New(cfg Config) (*DB, error) {
	if cfg.Probe == 0 {
		cfg.Probe = DefaultProbe
	}
	if cfg.Probe < minProbe {
		return nil, fmt.Errorf("configure %s client: probe interval %v is below %v", cfg.Database, cfg.Probe, minProbe)
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	if cfg.Log.GetSink() == nil {
		cfg.Log = logr.Discard()
	}
	endpoints, err := parseAll(cfg)
	if err != nil {
		return nil, fmt.Errorf("configure %s client: %w", cfg.Database, err)
	}
	d := &DB{
		cfg: cfg, endpoints: endpoints, columns: map[string][]string{},
		notifier: newNotifier(cfg.Handler), synced: make(chan struct{}),
	}
	if err := d.configureTables(); err != nil {
		return nil, fmt.Errorf("configure %s client: %w", cfg.Database, err)
	}
	d.store.Store(newStore(d.model))
	return d, nil
}

func (d *DB) configureTables() error {
	clientModel, err := d.cfg.Database.clientModel()
	if err != nil {
		return err
	}
	schema, err := d.cfg.Database.Schema()
	if err != nil {
		return err
	}
	m, errs := model.NewDatabaseModel(schema, clientModel)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	d.model = m
	for _, t := range d.cfg.Tables {
		table := schema.Table(t.Name)
		if table == nil {
			return fmt.Errorf("no table %q", t.Name)
		}
		if _, dup := d.columns[t.Name]; dup {
			return fmt.Errorf("table %s is listed twice", t.Name)
		}
		if d.columns[t.Name], err = t.columns(table); err != nil {
			return err
		}
	}
	return nil
}

// Run connects and reconnects: when a server is gone, hangs, or is no longer the leader, it tries the next endpoint,
// and so on forever. It returns nil when ctx ends. It calls the handler only while it runs.
func (d *DB) Run(ctx context.Context) error {
	if !d.running.CompareAndSwap(false, true) {
		return errors.New("run database client: already running")
	}
	defer d.running.Store(false)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { d.notifier.run(ctx) })

	count := len(d.endpoints)
	logged := map[string]string{}
	for next, failures := 0, 0; ; next = (next + 1) % count {
		ep := d.endpoints[next]
		log := d.cfg.Log.WithValues("database", d.cfg.Database.String(), "endpoint", ep.text)
		begin := d.cfg.Clock.Now()
		wasSynced, err := d.serve(ctx, ep, d.timeout(failures/count), log)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case wasSynced:
			log.Info("database connection lost", "reason", err.Error())
			d.notifier.lost(err)
			clear(logged)
		case logged[ep.text] != err.Error():
			log.Info("cannot use database endpoint", "reason", err.Error())
			logged[ep.text] = err.Error()
		}
		failures++
		if wasSynced && d.cfg.Clock.Since(begin) >= stable {
			failures = 0
		}
		if failures > 0 && failures%count == 0 && !d.pause(ctx, failures/count) {
			return nil
		}
	}
}

// timeout is the time that an endpoint has for each request of the handshake. It grows with the number of failed
// rounds: a hanging server must not delay the connection to a good one for long, and a slow one must get enough time.
func (d *DB) timeout(rounds int) time.Duration {
	return min(d.cfg.Probe/2<<min(rounds, 10), maxTimeout)
}

// pause waits after the given number of failed rounds. It returns false when ctx has ended.
func (d *DB) pause(ctx context.Context, rounds int) bool {
	timer := d.cfg.Clock.NewTimer(min(firstPause<<min(rounds-1, 10), lastPause))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// Connected reports whether the client is connected and the cache synced.
func (d *DB) Connected() bool { return d.session.Load() != nil }

// WaitSynced waits until Connected returns true. It returns the error of ctx if that ends first.
func (d *DB) WaitSynced(ctx context.Context) error {
	d.mu.Lock()
	synced := d.synced
	d.mu.Unlock()
	select {
	case <-synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", d.cfg.Database, ctx.Err())
	}
}

func (d *DB) setSession(s *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch was := d.session.Swap(s); {
	case s != nil && was == nil:
		close(d.synced)
	case s == nil && was != nil:
		d.synced = make(chan struct{})
	}
}

// Transact sends the operations as one transaction (RFC 7047 section 4.1.3) to the server, which for a clustered NB or
// SB is the leader. Errors of operations are in the results (see ovsdb.CheckOperationResults), not in the returned
// error. The returned error is ErrNotConnected when nothing was sent, and ErrUnknownOutcome when ctx or the connection
// ended before the reply. After Transact has returned without an error, the cache contains what was committed.
func (d *DB) Transact(ctx context.Context, ops ...ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("transact: %w", err)
	}
	s := d.session.Load()
	if s == nil {
		return nil, ErrNotConnected
	}
	return s.transact(ctx, ops)
}

// Row returns a copy of a cached row, a pointer to the table's type such as *nb.LogicalSwitch, or nil.
func (d *DB) Row(table, uuid string) model.Model {
	row := d.store.Load().get(table, uuid)
	if row == nil {
		return nil
	}
	return model.Clone(row)
}

// Peek returns a cached row without copying it, or nil. The row must not be modified. It may be kept, because a change
// replaces the row.
func (d *DB) Peek(table, uuid string) model.Model { return d.store.Load().get(table, uuid) }

// Each calls fn for the current rows of the table, in no order, until fn returns false. The rows are the cache's own:
// they must not be modified, and may be kept. fn may call any method.
func (d *DB) Each(table string, fn func(uuid string, row model.Model) bool) {
	for _, r := range d.store.Load().rows(table) {
		if !fn(r.uuid, r.row) {
			return
		}
	}
}

// UUIDs returns the UUIDs of the table's rows, in no order.
func (d *DB) UUIDs(table string) []string {
	rows := d.store.Load().rows(table)
	uuids := make([]string, len(rows))
	for i, r := range rows {
		uuids[i] = r.uuid
	}
	return uuids
}

// Len returns the number of the table's rows.
func (d *DB) Len(table string) int { return d.store.Load().size(table) }

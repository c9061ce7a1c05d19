// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"golang.org/x/sync/errgroup"
)

const (
	// rowsCookie and serverCookie identify the updates of our two monitors.
	rowsCookie   = "rows"
	serverCookie = "server"
	// noTransaction requests all rows from monitor_cond_since.
	noTransaction = "00000000-0000-0000-0000-000000000000"
	// dumpProbes is how many probe intervals the server may be silent while it prepares the dump.
	dumpProbes = 12
)

var errSilent = errors.New("server does not reply")

// session is one connection, from dial to close. Its goroutines end together: the first error closes the socket, and no
// session outlives serve.
type session struct {
	db      *DB
	wire    *wire
	log     logr.Logger
	timeout time.Duration
	ctx     context.Context //nolint:containedctx // ends with the session; Transact waits for that
	// maxSilence is the silence after which the server counts as dead, in nanoseconds.
	maxSilence atomic.Int64
	synced     atomic.Bool
	resumed    atomic.Bool // synced with only the changes since the last session
}

// serve runs one session with an endpoint until it fails. It reports whether the cache was synced.
func (d *DB) serve(ctx context.Context, ep endpoint, timeout time.Duration, log logr.Logger) (bool, error) {
	conn, err := dial(ctx, ep, d.cfg.TLS, timeout)
	if err != nil {
		return false, err
	}
	group, ctx := errgroup.WithContext(ctx)
	s := &session{db: d, wire: newWire(conn, d.cfg.Clock), log: log, timeout: timeout, ctx: ctx}
	s.maxSilence.Store(int64(maxTimeout + timeout)) // the handshake has its own timeouts
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = conn.Close() // it only ends the loops
	})
	group.Go(s.wire.readLoop)
	group.Go(func() error { return s.wire.writeLoop(ctx) })
	group.Go(s.work)
	group.Go(s.watch)
	group.Go(s.handshake)
	err = group.Wait()
	<-closed
	d.setSession(nil)
	return s.synced.Load(), err
}

func dial(ctx context.Context, ep endpoint, cfg *tls.Config, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	plain := &net.Dialer{}
	if !ep.tls {
		conn, err := plain.DialContext(ctx, ep.network, ep.address)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		return conn, nil
	}
	secure := &tls.Dialer{NetDialer: plain, Config: cfg}
	conn, err := secure.DialContext(ctx, ep.network, ep.address)
	if err != nil {
		return nil, fmt.Errorf("connect with TLS: %w", err)
	}
	return conn, nil
}

// handshake checks that the server is acceptable and starts the monitors.
func (s *session) handshake() error {
	schema, err := s.schema()
	if err != nil {
		return err
	}
	requests, err := s.db.monitorRequests(schema, s.log)
	if err != nil {
		return err
	}
	if err := s.monitorServer(); err != nil {
		return err
	}
	s.maxSilence.Store(int64(dumpProbes * s.db.cfg.Probe))
	begin := s.db.cfg.Clock.Now()
	if err := s.monitorRows(requests); err != nil {
		return err
	}
	s.maxSilence.Store(int64(2 * s.db.cfg.Probe))
	s.log.Info("database synced", "resumed", s.resumed.Load(), "seconds", s.db.cfg.Clock.Since(begin).Seconds())
	return nil
}

func (s *session) schema() (ovsdb.DatabaseSchema, error) {
	var schema ovsdb.DatabaseSchema
	raw, err := s.handshakeCall("get_schema", []any{s.db.cfg.Database.String()})
	if err != nil {
		return schema, err
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		return schema, fmt.Errorf("decode schema: %w", err)
	}
	return schema, nil
}

// handshakeCall is a call of the handshake, with the endpoint's timeout for the reply.
func (s *session) handshakeCall(method string, params any) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.timeout, errSilent)
	defer cancel()
	raw, err := s.call(ctx, method, params)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", method, err)
	}
	return raw, nil
}

// call sends a request and waits for its reply. When it returns, every message that the server sent before the reply
// has been processed.
func (s *session) call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	type reply struct {
		result json.RawMessage
		err    error
	}
	got := make(chan reply, 1)
	id, err := s.wire.start(method, params, func(result json.RawMessage, err error) error {
		got <- reply{result, err}
		return nil
	})
	if err != nil {
		return nil, err
	}
	select {
	case r := <-got:
		return r.result, r.err
	case <-ctx.Done():
		s.wire.cancel(id)
		return nil, newInterruptedError(ctx)
	case <-s.ctx.Done():
		return nil, newInterruptedError(s.ctx)
	}
}

// interruptedError means that a call was sent and its reply did not arrive.
type interruptedError struct{ kind, cause error }

func newInterruptedError(ctx context.Context) *interruptedError {
	return &interruptedError{kind: ctx.Err(), cause: context.Cause(ctx)}
}

func (e *interruptedError) Error() string   { return "no reply: " + e.cause.Error() }
func (e *interruptedError) Unwrap() []error { return []error{e.kind, e.cause} }

func (s *session) transact(ctx context.Context, ops []ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	raw, err := s.call(ctx, "transact", transactParams(s.db.cfg.Database.String(), ops))
	var interrupted *interruptedError
	if errors.As(err, &interrupted) {
		return nil, fmt.Errorf("transact: %w: %w", ErrUnknownOutcome, err)
	}
	if err != nil {
		return nil, fmt.Errorf("transact: %w", err)
	}
	var results []ovsdb.OperationResult
	if err := json.Unmarshal(raw, &results); err != nil {
		return nil, fmt.Errorf("decode transaction results: %w: %w", ErrUnknownOutcome, err)
	}
	return results, nil
}

// work processes the server's messages in order. A reply to transact is thereby delivered after the update that the
// transaction caused, which ovsdb-server sends first.
func (s *session) work() error {
	for {
		m, err := s.wire.inbox.pop(s.ctx)
		if err != nil {
			return err
		}
		switch m.Method {
		case "":
			err = s.wire.finish(m)
		case "update3":
			err = s.update(m.Params)
		case "update":
			err = s.serverUpdate(m.Params)
		}
		if err != nil {
			return err
		}
	}
}

// update applies an update3 notification: [cookie, last-txn-id, table-updates2].
func (s *session) update(raw json.RawMessage) error {
	var cookie, txn string
	var up ovsdb.TableUpdates2
	params := []any{&cookie, &txn, &up}
	if err := json.Unmarshal(raw, &params); err != nil {
		return fmt.Errorf("decode update: %w", err)
	}
	keys, err := s.db.store.Load().apply(up)
	if err != nil {
		s.db.resume = resumePoint{} // the next session loads everything
		return err
	}
	s.db.resume.txn = txn
	s.db.notifier.changed(keys)
	return nil
}

// watch ends the session when the server is silent, as a hanging one is.
func (s *session) watch() error {
	probe := s.db.cfg.Probe
	ticker := s.db.cfg.Clock.NewTicker(probe / 2)
	defer ticker.Stop()
	probedAt := int64(-1) // time of the last received byte when the probe was sent
	for {
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-ticker.C():
		}
		silence, limit := s.wire.silence(), time.Duration(s.maxSilence.Load())
		last := s.wire.lastRead.Load()
		switch judge(silence, probe, limit, last == probedAt) {
		case alive, waiting:
		case probing:
			probedAt = last
			if _, err := s.wire.start("echo", []any{}, func(json.RawMessage, error) error { return nil }); err != nil {
				return err
			}
		case dead:
			return fmt.Errorf("server has been silent for %v", silence.Round(time.Millisecond))
		}
	}
}

type liveness int

const (
	alive   liveness = iota // heard from recently
	probing                 // send a probe
	waiting                 // the probe was sent
	dead                    // no reply to the probe
)

// judge decides what to do about a server's silence.
func judge(silence, probe, limit time.Duration, probed bool) liveness {
	switch {
	case silence >= limit:
		return dead
	case silence < probe:
		return alive
	case probed:
		return waiting
	}
	return probing
}

// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// monitorRequest is a <monitor-cond-request> of ovsdb-server(7).
type monitorRequest struct {
	Columns []string          `json:"columns"`
	Where   []ovsdb.Condition `json:"where,omitempty"`
}

// monitorRequests returns the monitor requests for a server with the given schema. A column that an older server lacks
// stays zero in the cache; a missing table is an error.
func (d *DB) monitorRequests(schema ovsdb.DatabaseSchema, log logr.Logger) (map[string][]monitorRequest, error) {
	requests := map[string][]monitorRequest{}
	for _, t := range d.cfg.Tables {
		table := schema.Table(t.Name)
		if table == nil {
			return nil, fmt.Errorf("server's schema %s %s has no table %s", schema.Name, schema.Version, t.Name)
		}
		columns := slices.DeleteFunc(slices.Clone(d.columns[t.Name]), func(name string) bool {
			missing := table.Columns[name] == nil
			if missing {
				log.Info("server's schema lacks a column", "schema", schema.Version, "table", t.Name, "column", name)
			}
			return missing
		})
		requests[t.Name] = []monitorRequest{{Columns: columns, Where: t.Where}}
	}
	return requests, nil
}

// monitorRows starts the monitor of the tables and returns when the cache is complete. If the server still knows the
// last transaction that we saw, as the members of a cluster do, it sends only the changes since then, and they are
// applied to the present cache.
func (s *session) monitorRows(requests map[string][]monitorRequest) error {
	key, err := json.Marshal(requests)
	if err != nil {
		return fmt.Errorf("encode monitor request: %w", err)
	}
	last := noTransaction
	if r := s.db.resume; r.txn != "" && r.requests == string(key) {
		last = r.txn
	}
	done := make(chan struct{})
	params := []any{s.db.cfg.Database.String(), rowsCookie, json.RawMessage(key), last}
	_, err = s.wire.start("monitor_cond_since", params, func(raw json.RawMessage, err error) error {
		defer close(done)
		if err != nil {
			return fmt.Errorf("monitor tables: %w", err)
		}
		return s.sync(raw, string(key))
	})
	if err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// sync applies the reply to monitor_cond_since; the worker calls it.
func (s *session) sync(raw json.RawMessage, requests string) error {
	d := s.db
	var reply dump
	if err := json.Unmarshal(raw, &reply); err != nil {
		return fmt.Errorf("decode monitor reply: %w", err)
	}
	resume := d.resume
	d.resume = resumePoint{}
	if reply.found && resume.txn != "" {
		var up ovsdb.TableUpdates2
		if err := json.Unmarshal(reply.updates, &up); err != nil {
			return fmt.Errorf("decode monitor reply: %w", err)
		}
		if _, err := d.store.Load().apply(up); err != nil {
			return err
		}
		s.resumed.Store(true)
	} else {
		fresh := newStore(d.model)
		if err := fresh.loadAll(reply.updates); err != nil {
			return err
		}
		d.store.Store(fresh)
	}
	d.resume = resumePoint{txn: reply.txn, requests: requests}
	s.synced.Store(true)
	d.setSession(s)
	d.notifier.synced()
	return nil
}

// databaseStatus is a row of the Database table of the _Server database, ovsdb-server(5).
type databaseStatus struct {
	Name      string `json:"name"`
	Model     string `json:"model"`
	Connected bool   `json:"connected"`
	Leader    bool   `json:"leader"`
}

type statusUpdates struct {
	Database map[string]struct {
		New *databaseStatus `json:"new"`
	} `json:"Database"`
}

// monitorServer watches whether the server is a member of its cluster, and for NB and SB its leader.
func (s *session) monitorServer() error {
	columns := []string{"name", "model", "connected", "leader"}
	raw, err := s.handshakeCall("monitor", []any{"_Server", serverCookie, map[string]any{
		"Database": []monitorRequest{{Columns: columns}},
	}})
	if err != nil {
		return err
	}
	var up statusUpdates
	if err := json.Unmarshal(raw, &up); err != nil {
		return fmt.Errorf("decode server status: %w", err)
	}
	return s.db.acceptable(up)
}

func (s *session) serverUpdate(raw json.RawMessage) error {
	var cookie string
	var up statusUpdates
	params := []any{&cookie, &up}
	if err := json.Unmarshal(raw, &params); err != nil {
		return fmt.Errorf("decode server status: %w", err)
	}
	return s.db.acceptable(up)
}

// acceptable returns an error if this server must not be used.
func (d *DB) acceptable(up statusUpdates) error {
	for _, row := range up.Database {
		if row.New == nil || row.New.Name != d.cfg.Database.String() || row.New.Model == "standalone" {
			continue
		}
		if !row.New.Connected {
			return errors.New("server is not connected to its cluster")
		}
		if row.New.Model == "clustered" && !row.New.Leader && d.cfg.Database != VS {
			return errors.New("server is not the leader of its cluster")
		}
	}
	return nil
}

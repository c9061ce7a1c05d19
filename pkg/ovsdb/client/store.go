// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"github.com/ovn-kubernetes/libovsdb/updates"
)

// store holds rows by table and uuid. A stored row is never modified: a change replaces it, so readers may keep rows.
// It has one writer at a time.
type store struct {
	model model.DatabaseModel

	mu     sync.RWMutex
	tables map[string]map[string]model.Model
}

func newStore(m model.DatabaseModel) *store {
	return &store{model: m, tables: map[string]map[string]model.Model{}}
}

func (s *store) get(table, uuid string) model.Model {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tables[table][uuid]
}

func (s *store) size(table string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.tables[table])
}

func (s *store) rows(table string) []rowRef {
	s.mu.RLock()
	defer s.mu.RUnlock()
	rows := make([]rowRef, 0, len(s.tables[table]))
	for uuid, row := range s.tables[table] {
		rows = append(rows, rowRef{uuid: uuid, row: row})
	}
	return rows
}

type rowRef struct {
	uuid string
	row  model.Model
}

// change is a row's new value; nil means deleted.
type change struct {
	key rowKey
	row model.Model
}

// apply makes an update visible atomically. After an error no part of it is visible.
func (s *store) apply(up ovsdb.TableUpdates2) ([]rowKey, error) {
	var changes []change
	for table, rows := range up {
		for uuid, ru := range rows {
			c, err := s.change(rowKey{table: table, uuid: uuid}, ru)
			if err != nil {
				return nil, fmt.Errorf("apply update of %s %s: %w", table, uuid, err)
			}
			changes = append(changes, c)
		}
	}
	keys := make([]rowKey, 0, len(changes))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		s.set(c)
		keys = append(keys, c.key)
	}
	return keys, nil
}

// load adds one row of an initial dump to a store that has no readers yet.
func (s *store) load(key rowKey, ru *ovsdb.RowUpdate2) error {
	c, err := s.change(key, ru)
	if err != nil {
		return fmt.Errorf("load %s %s: %w", key.table, key.uuid, err)
	}
	s.set(c)
	return nil
}

func (s *store) set(c change) {
	rows := s.tables[c.key.table]
	if c.row == nil {
		delete(rows, c.key.uuid)
		return
	}
	if rows == nil {
		rows = map[string]model.Model{}
		s.tables[c.key.table] = rows
	}
	rows[c.key.uuid] = c.row
}

// change computes a row's new value. Only the writer calls it, so it reads without the lock.
func (s *store) change(key rowKey, ru *ovsdb.RowUpdate2) (change, error) {
	if ru == nil {
		return change{key: key}, nil
	}
	whole := ru.Initial
	if whole == nil {
		whole = ru.Insert
	}
	if whole != nil {
		row, err := model.CreateModel(s.model, key.table, whole, key.uuid)
		return change{key: key, row: row}, err
	}
	if ru.Modify == nil { // {"delete": null}
		return change{key: key}, nil
	}
	current := s.tables[key.table][key.uuid]
	if current == nil {
		return change{}, errors.New("modified row is not in the cache")
	}
	var diff updates.ModelUpdates
	if err := diff.AddRowUpdate2(s.model, key.table, key.uuid, current, *ru); err != nil {
		return change{}, err
	}
	row := diff.GetModel(key.table, key.uuid)
	if row == nil { // the difference changes nothing
		row = current
	}
	return change{key: key, row: row}, nil
}

// dump is the reply to monitor_cond_since (ovsdb-server(7)): [found, last-txn-id, table-updates2].
type dump struct {
	found   bool
	txn     string
	updates json.RawMessage
}

func (d *dump) UnmarshalJSON(raw []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return fmt.Errorf("monitor_cond_since reply has %d elements, want 3", len(parts))
	}
	if err := json.Unmarshal(parts[0], &d.found); err != nil {
		return err
	}
	if err := json.Unmarshal(parts[1], &d.txn); err != nil {
		return err
	}
	d.updates = parts[2]
	return nil
}

// loadAll decodes table-updates2 row by row: to decode the dump of a large database at once would take several times
// the memory of the rows.
func (s *store) loadAll(raw json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	return eachMember(dec, func(table string) error {
		return eachMember(dec, func(uuid string) error {
			var ru ovsdb.RowUpdate2
			if err := dec.Decode(&ru); err != nil {
				return fmt.Errorf("decode %s %s: %w", table, uuid, err)
			}
			return s.load(rowKey{table: table, uuid: uuid}, &ru)
		})
	})
}

// eachMember calls fn for each name of the next JSON object; fn must consume its value.
func eachMember(dec *json.Decoder, fn func(name string) error) error {
	open, err := dec.Token()
	if err != nil {
		return fmt.Errorf("decode object: %w", err)
	}
	if open != json.Delim('{') {
		return fmt.Errorf("decode object: got %v, want {", open)
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return fmt.Errorf("decode member: %w", err)
		}
		name, _ := token.(string)
		if err := fn(name); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("decode object: %w", err)
	}
	return nil
}

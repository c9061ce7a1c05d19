// SPDX-License-Identifier: Apache-2.0

package commit

import (
	"github.com/ovn-kubernetes/libovsdb/model"

	"github.com/wovensdn/woven/pkg/fact"
)

// View adapts the client's cache to plan, and indexes the names of rows whose UUID is not derived from their name. It
// is not safe for concurrent use.
type View struct {
	db      DB
	foreign map[nameKey]string // name -> UUID
	names   map[fact.Ref]string
}

type nameKey struct{ table, name string }

// NewView returns an empty view; [View.Reset] fills it.
func NewView(db DB) *View {
	return &View{db: db, foreign: map[nameKey]string{}, names: map[fact.Ref]string{}}
}

// Reset rebuilds the index of names from the cache.
func (v *View) Reset() {
	clear(v.foreign)
	clear(v.names)
	for _, table := range fact.Tables() {
		if table.NameColumn == "" {
			continue
		}
		v.db.Each(table.Name, func(uuid string, row model.Model) bool {
			v.note(table, uuid, row)
			return true
		})
	}
}

// Changed updates the index for a row that was added, changed or deleted.
func (v *View) Changed(ref fact.Ref) {
	table := fact.TableOf(ref.Table)
	if table == nil || table.NameColumn == "" {
		return
	}
	if old, ok := v.names[ref]; ok {
		delete(v.names, ref)
		if key := (nameKey{ref.Table, old}); v.foreign[key] == ref.UUID {
			delete(v.foreign, key)
		}
	}
	if row := v.db.Peek(ref.Table, ref.UUID); row != nil {
		v.note(table, ref.UUID, row)
	}
}

func (v *View) note(table *fact.Table, uuid string, row any) {
	if name := table.RowName(row); name != "" && fact.UUIDOf(table.Name, name) != uuid {
		v.foreign[nameKey{table.Name, name}] = uuid
		v.names[fact.Ref{Table: table.Name, UUID: uuid}] = name
	}
}

// Row returns a row of the cache, or nil.
func (v *View) Row(table, uuid string) any {
	if row := v.db.Peek(table, uuid); row != nil {
		return row
	}
	return nil
}

// Each yields the rows of a table.
func (v *View) Each(table string, fn func(uuid string, row any) bool) {
	v.db.Each(table, func(uuid string, row model.Model) bool { return fn(uuid, row) })
}

// Foreign finds a row with this name whose UUID is not the one that we derive from the name.
func (v *View) Foreign(table, name string) (string, bool) {
	uuid, ok := v.foreign[nameKey{table, name}]
	return uuid, ok
}

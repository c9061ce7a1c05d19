// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"maps"
	"reflect"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/desired"
	"github.com/wovensdn/woven/pkg/fact"
)

const externalIDs = "external_ids"

// markers are the external_ids of a row: those that are declared, and those that identify its owner.
func markers(table *fact.Table, want desired.Claimed) map[string]string {
	ids := maps.Clone(table.ExternalIDs(want.Row.Columns))
	if ids == nil {
		ids = map[string]string{}
	}
	ids[fact.VendorKey] = fact.Vendor
	ids[fact.OwnerKey] = want.Owner.String()
	if want.Row.Parent != (fact.Ref{}) {
		ids[fact.ParentKey] = want.Row.Parent.UUID
	}
	return ids
}

func insertColumns(table *fact.Table, want desired.Claimed) ovsdb.Row {
	row := ovsdb.Row{}
	if table.NamePrefix == "" {
		row[externalIDs] = mapOf(markers(table, want))
	}
	for _, name := range table.Owned {
		column := table.Column(name)
		if v := column.Value(want.Row.Columns); name != externalIDs && !isDefault(v) {
			row[name] = encode(v, column.UUID)
		}
	}
	return row
}

func changedColumns(table *fact.Table, want desired.Claimed, have any) ovsdb.Row {
	var row ovsdb.Row
	for _, name := range table.Owned {
		if name == externalIDs {
			continue
		}
		column := table.Column(name)
		w, h := column.Value(want.Row.Columns), column.Value(have)
		if equal(w, h) {
			continue
		}
		if row == nil {
			row = ovsdb.Row{}
		}
		row[name] = encode(w, column.UUID)
	}
	return row
}

// changedKeys compares the keys of external_ids that we own. It ignores other keys.
func changedKeys(table *fact.Table, want desired.Claimed, have any) (drop []string, set map[string]string) {
	if table.NamePrefix != "" {
		return nil, nil // the name is the marker
	}
	ids := table.ExternalIDs(have)
	wanted := markers(table, want)
	for k, v := range ids {
		if w, ok := wanted[k]; (ok && w != v) || (!ok && table.OwnsKey(k)) {
			drop = append(drop, k)
		}
	}
	slices.Sort(drop)
	for k, v := range wanted {
		if ids[k] != v {
			if set == nil {
				set = map[string]string{}
			}
			set[k] = v
		}
	}
	return drop, set
}

func isDefault(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

// equal compares two values of one column. Sets have no order (RFC 7047 §3.1).
func equal(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.Slice:
		return equalSets(a, b)
	case reflect.Map:
		return a.Len() == b.Len() && (a.Len() == 0 || reflect.DeepEqual(a.Interface(), b.Interface()))
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() && b.IsNil()
		}
		return a.Elem().Interface() == b.Elem().Interface()
	default:
		return a.Interface() == b.Interface()
	}
}

func equalSets(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	x, ok := a.Interface().([]string)
	if !ok {
		return reflect.DeepEqual(a.Interface(), b.Interface())
	}
	y, _ := b.Interface().([]string)
	if slices.Equal(x, y) {
		return true
	}
	x, y = slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
	return slices.Equal(x, y)
}

// encode converts a value to the notation of the protocol (RFC 7047 §5.1).
func encode(v reflect.Value, isUUID bool) any {
	switch v.Kind() {
	case reflect.Slice:
		set := ovsdb.OvsSet{GoSet: make([]any, 0, v.Len())}
		for i := range v.Len() {
			set.GoSet = append(set.GoSet, atom(v.Index(i), isUUID))
		}
		return set
	case reflect.Map:
		out := ovsdb.OvsMap{GoMap: make(map[any]any, v.Len())}
		for i := v.MapRange(); i.Next(); {
			out.GoMap[i.Key().Interface()] = i.Value().Interface()
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return ovsdb.OvsSet{GoSet: []any{}}
		}
		return ovsdb.OvsSet{GoSet: []any{atom(v.Elem(), isUUID)}}
	default:
		return atom(v, isUUID)
	}
}

func atom(v reflect.Value, isUUID bool) any {
	if isUUID {
		return ovsdb.UUID{GoUUID: v.String()}
	}
	return v.Interface()
}

func mapOf(m map[string]string) ovsdb.OvsMap {
	out := ovsdb.OvsMap{GoMap: make(map[any]any, len(m))}
	for k, v := range m {
		out.GoMap[k] = v
	}
	return out
}

// SPDX-License-Identifier: Apache-2.0

package nbtest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/model"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
)

// Source provides rows: a client.DB that monitors everything, or a database in memory.
type Source interface {
	// Each calls fn for the rows of a table, pointers to the table's generated type, until fn returns false.
	Each(table string, fn func(uuid string, row model.Model) bool)
}

// DumpOption changes what Dump writes.
type DumpOption func(*dumper)

// Without omits tables, named "Table", and columns, named "Table.column" or, for every table, ".column".
func Without(names ...string) DumpOption {
	return func(d *dumper) {
		for _, name := range names {
			d.without[name] = true
		}
	}
}

// Of dumps another database than the northbound one.
func Of(database client.Database) DumpOption {
	return func(d *dumper) { d.database = database }
}

// Dump returns a northbound database (the tables that package nb has rows for) as text that depends only on its
// content: one line per row, "Table name column=value …", sorted. Columns with their default value are omitted, sets
// ([a, b]) and maps ({k=v}) are sorted, and a reference is written as the row that it refers to, Table/name. A row
// without a name is identified by its key columns (an ACL by direction, priority and match). If that is not unique, "@"
// and the row that refers to it follow, and "#2", "#3" … number rows that differ in nothing else.
func Dump(src Source, options ...DumpOption) string {
	d := &dumper{database: client.NB, without: map[string]bool{}, byUUID: map[string]*dumpRow{}}
	for _, option := range options {
		option(d)
	}
	d.read(src)
	d.label()
	lines := make([]string, 0, len(d.rows))
	for _, r := range d.rows {
		lines = append(lines, d.line(r))
	}
	slices.Sort(lines)
	return strings.Join(append(lines, ""), "\n")
}

// Dump writes the server's database; see the function Dump.
func (s *Server) Dump(options ...DumpOption) string {
	s.t.Helper()
	db, stop := connect(s.t, client.Config{
		Database: s.kind.database, Endpoints: []string{s.Endpoint()}, Tables: s.tables(s.t, nil),
	})
	defer stop()
	return Dump(db, append([]DumpOption{Of(s.kind.database)}, options...)...)
}

// Diff compares two dumps line by line and returns the differences, "-" before a line that is only in want and "+"
// before one that is only in got; empty if there are none. It ignores the order of lines, empty lines and lines that
// begin with "#".
func Diff(want, got string) string {
	counts := map[string]int{}
	for line := range strings.Lines(want) {
		counts[strings.TrimSpace(line)]++
	}
	for line := range strings.Lines(got) {
		counts[strings.TrimSpace(line)]--
	}
	var out strings.Builder
	for _, line := range slices.Sorted(maps.Keys(counts)) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for range counts[line] {
			fmt.Fprintf(&out, "- %s\n", line)
		}
		for range -counts[line] {
			fmt.Fprintf(&out, "+ %s\n", line)
		}
	}
	return out.String()
}

type dumper struct {
	database client.Database
	without  map[string]bool
	rows     []*dumpRow
	byUUID   map[string]*dumpRow
}

type dumpRow struct {
	table   string
	uuid    string
	columns map[string]reflect.Value // without default values
	base    string                   // name or description, not necessarily unique
	named   bool                     // base is the name column
	label   string                   // base, made unique in the table
	color   string                   // see dumper.refine
	parents []reference              // the rows that refer to this one
	targets []reference              // the rows that this one refers to
}

type reference struct {
	column string
	row    *dumpRow
}

func (d *dumper) read(src Source) {
	schema, err := d.database.Schema()
	if err != nil {
		panic(err) // a test names a database that does not exist
	}
	for _, table := range slices.Sorted(maps.Keys(schema.Tables)) {
		if d.without[table] {
			continue
		}
		src.Each(table, func(uuid string, row model.Model) bool {
			r := &dumpRow{table: table, uuid: uuid, columns: d.columns(table, row)}
			d.rows = append(d.rows, r)
			d.byUUID[uuid] = r
			return true
		})
	}
	for _, r := range d.rows {
		for column, value := range r.columns {
			d.eachString(value, func(text string) {
				if target := d.byUUID[text]; target != nil {
					r.targets = append(r.targets, reference{column, target})
					target.parents = append(target.parents, reference{column, r})
				}
			})
		}
	}
}

// columns returns the row's columns without default values. An optional value is set if its pointer is not nil.
func (d *dumper) columns(table string, row model.Model) map[string]reflect.Value {
	v := reflect.Indirect(reflect.ValueOf(row))
	columns := map[string]reflect.Value{}
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Tag.Get("ovsdb"), v.Field(i)
		if name == "" || name == "_uuid" || d.without[table+"."+name] || d.without["."+name] {
			continue
		}
		switch field.Kind() {
		case reflect.Slice, reflect.Map:
			if field.Len() == 0 {
				continue
			}
		default:
			if field.IsZero() {
				continue
			}
		}
		columns[name] = reflect.Indirect(field)
	}
	return columns
}

// eachString calls fn for every string in a column.
func (d *dumper) eachString(v reflect.Value, fn func(string)) {
	switch v.Kind() {
	case reflect.String:
		fn(v.String())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			d.eachString(v.Index(i), fn)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			d.eachString(it.Key(), fn)
			d.eachString(it.Value(), fn)
		}
	default: // numbers and booleans have no strings
	}
}

func (d *dumper) line(r *dumpRow) string {
	words := []string{r.table}
	if r.label != "" {
		words = append(words, r.label)
	}
	for _, column := range sortedColumns(r) {
		if column == "name" && r.named {
			continue // it is the label
		}
		words = append(words, column+"="+d.format(r.columns[column], d.reference))
	}
	return strings.Join(words, " ")
}

func sortedColumns(r *dumpRow) []string { return slices.Sorted(maps.Keys(r.columns)) }

// reference formats a string of a column: the row that it refers to, or itself.
func (d *dumper) reference(text string) string {
	target := d.byUUID[text]
	switch {
	case target == nil:
		return quote(text)
	case target.label == "":
		return target.table
	}
	return target.table + "/" + target.label
}

// format formats a value, its strings with text.
func (d *dumper) format(v reflect.Value, text func(string) string) string {
	switch v.Kind() {
	case reflect.String:
		return text(v.String())
	case reflect.Slice, reflect.Array:
		elements := make([]string, v.Len())
		for i := range elements {
			elements[i] = d.format(v.Index(i), text)
		}
		slices.Sort(elements)
		return "[" + strings.Join(elements, ", ") + "]"
	case reflect.Map:
		elements := make([]string, 0, v.Len())
		for it := v.MapRange(); it.Next(); {
			elements = append(elements, d.format(it.Key(), text)+"="+d.format(it.Value(), text))
		}
		slices.Sort(elements)
		return "{" + strings.Join(elements, ", ") + "}"
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return fmt.Sprint(v.Interface())
	}
}

// quote leaves plain words as they are and quotes everything else, if possible without escapes.
func quote(s string) string {
	plain := s != ""
	for _, c := range s {
		if !strings.ContainsRune("-_.:/@+$", c) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			plain = false
		}
	}
	switch {
	case plain:
		return s
	case strings.Contains(s, `"`) && strconv.CanBackquote(s):
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}

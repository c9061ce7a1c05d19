// SPDX-License-Identifier: Apache-2.0

package compat

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wovensdn/woven/config/crd"
)

// A field of a spec is in a row, or in one that is not supported as a whole; and every row is a field.
func TestFieldsAreListed(t *testing.T) {
	for _, k := range Kinds {
		if k.Spec == nil {
			if len(k.Fields) > 0 {
				t.Errorf("%s has fields and no type", k.Name)
			}
			continue
		}
		all := map[string]bool{}
		walk(k.Spec, "spec", all)
		for path, leaf := range all {
			if leaf && !slices.ContainsFunc(k.Fields, func(r Row) bool { return covers(r, path) }) {
				t.Errorf("%s: the field %s is in no row", k.Name, path)
			}
		}
		for _, r := range k.Fields {
			if _, ok := all[r.Name]; !ok {
				t.Errorf("%s: there is no field %s", k.Name, r.Name)
			}
			if _, ok := fieldIndex(k.Spec, r.Name); r.ignored() && !ok {
				t.Errorf("%s: %s is inside of a list: list the field that contains it", k.Name, r.Name)
			}
		}
	}
}

func covers(r Row, path string) bool {
	below, ok := strings.CutPrefix(path, r.Name)
	return ok && (below == "" || r.State == NotYet && (below[0] == '.' || below[0] == '['))
}

// walk collects the fields of a type by path: true for those without fields of our API below them.
func walk(t reflect.Type, path string, into map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, of := path+"."+jsonName(f), f.Type
		list := of.Kind() == reflect.Slice
		if of.Kind() == reflect.Pointer || list {
			of = of.Elem()
		}
		leaf := of.Kind() != reflect.Struct || !strings.HasSuffix(of.PkgPath(), "/api/v1")
		into[name] = leaf
		if list {
			name += "[]"
		}
		if !leaf {
			walk(of, name, into)
		}
	}
}

// A kind that is installed is in the table.
func TestKindsAreListed(t *testing.T) {
	definitions, err := crd.Objects()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range definitions {
		i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == d.Spec.Names.Kind })
		if i < 0 || Kinds[i].Resource != d.Spec.Names.Plural || Kinds[i].Group != d.Spec.Group {
			t.Errorf("%s is not in the table, or otherwise", d.Name)
		}
	}
}

func TestRowsAreComplete(t *testing.T) {
	kinds := map[string]bool{}
	for _, k := range Kinds {
		if kinds[k.Name] || k.State == "" || k.Group == Group && k.Resource == "" {
			t.Errorf("kind %s is listed twice, or without a state or resource", k.Name)
		}
		kinds[k.Name] = true
		for _, list := range [][]Row{k.Fields, k.Annotations, k.Labels} {
			names := map[string]bool{}
			for _, r := range list {
				if names[r.Name] {
					t.Errorf("%s: %s is listed twice", k.Name, r.Name)
				}
				names[r.Name] = true
				if r.State == Partly && r.Note == "" || r.State == NotYet && r.Note == "" && !r.Written {
					t.Errorf("%s: %s needs a note", k.Name, r.Name)
				}
				if r.State == Works && r.ignored() {
					t.Errorf("%s: %s works, and is reported", k.Name, r.Name)
				}
				if _, err := regexp.Compile(r.Values); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package fact

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Violation is a value that the database would refuse: with it, the whole transaction (RFC 7047 §3.2, "constraints").
type Violation struct {
	Table, Column string
	Cause         string // which constraint, and the value
}

func (v *Violation) Error() string { return v.Table + " column " + v.Column + ": " + v.Cause }

// Check returns the first column of a row that violates the schema of its table: an enumeration, a minimum or maximum,
// the length of a string or of a set, or text that is not UTF-8. It returns nil if the database accepts the values.
// References are not checked; the planner does that.
func (t *Table) Check(row any) *Violation {
	for _, name := range t.Owned {
		c := t.columns[name]
		if err := c.constraint.check(c.Value(row)); err != nil {
			return &Violation{Table: t.Name, Column: name, Cause: err.Error()}
		}
	}
	return nil
}

// CheckMember returns why the database would refuse an element of a set, or a key and value of a map; nil if it accepts
// them.
func (t *Table) CheckMember(column, key, value string) *Violation {
	for _, text := range []string{key, value} {
		if err := checkText(text); err != nil {
			return &Violation{Table: t.Name, Column: column, Cause: err.Error()}
		}
	}
	return nil
}

// constraint is a column's type in the schema (RFC 7047 §3.2, <type>).
type constraint struct {
	key, value *atomConstraint // value is nil unless the column is a map
	min, max   int             // the number of elements
}

// atomConstraint limits one atom (RFC 7047 §3.2, <base-type>).
type atomConstraint struct {
	enum     []any
	min, max int // of an integer
	length   int // the maximum, of a string, in characters
}

func constraintOf(column *ovsdb.ColumnSchema) constraint {
	typ := column.TypeObj
	if typ == nil {
		return constraint{key: atomOf(&ovsdb.BaseType{Type: column.Type}), min: 1, max: 1}
	}
	out := constraint{key: atomOf(typ.Key), min: typ.Min(), max: typ.Max()}
	if typ.Value != nil {
		out.value = atomOf(typ.Value)
	}
	if out.max == ovsdb.Unlimited {
		out.max = math.MaxInt
	}
	return out
}

func atomOf(base *ovsdb.BaseType) *atomConstraint {
	out := &atomConstraint{enum: base.Enum, min: math.MinInt, max: math.MaxInt, length: math.MaxInt}
	switch base.Type {
	case ovsdb.TypeInteger: // the errors of the accessors mean another type
		out.min, _ = base.MinInteger()
		out.max, _ = base.MaxInteger()
	case ovsdb.TypeString:
		out.length, _ = base.MaxLength()
	}
	return out
}

func (c constraint) check(v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return c.size(0)
		}
		return c.key.check(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if err := c.key.check(v.Index(i)); err != nil {
				return err
			}
		}
		return c.size(v.Len())
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			if err := errors.Join(c.key.check(i.Key()), c.value.check(i.Value())); err != nil {
				return err
			}
		}
		return c.size(v.Len())
	default:
		return c.key.check(v)
	}
}

func (c constraint) size(n int) error {
	if n < c.min || n > c.max {
		return fmt.Errorf("it has %d elements; from %d to %d are allowed", n, c.min, c.max)
	}
	return nil
}

func (a *atomConstraint) check(v reflect.Value) error {
	if len(a.enum) > 0 && !slices.Contains(a.enum, v.Interface()) {
		names := make([]string, 0, len(a.enum))
		for _, one := range a.enum {
			names = append(names, fmt.Sprint(one))
		}
		return fmt.Errorf("%q is not one of %s", v.Interface(), strings.Join(names, ", "))
	}
	switch v.Kind() {
	case reflect.Int:
		if n := int(v.Int()); n < a.min || n > a.max {
			return fmt.Errorf("%d is not from %d to %d", n, a.min, a.max)
		}
	case reflect.String:
		if n := utf8.RuneCountInString(v.String()); n > a.length {
			return fmt.Errorf("it is %d characters long; at most %d are allowed", n, a.length)
		}
		return checkText(v.String())
	}
	return nil
}

// checkText refuses what OVSDB's parser of JSON refuses: it closes the connection, so that nothing else could be
// written either.
func checkText(text string) error {
	switch {
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("%q contains a null character", text)
	case !utf8.ValidString(text):
		return fmt.Errorf("%q is not UTF-8", text)
	default:
		return nil
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package fact defines the two kinds of facts that desired state consists of.
//
// Row     a row of the northbound database and the columns that we own in it
// Member  one element of a set, or one key of a map, which several owners may share
//
// Compile functions declare facts through a [Set]. They do not decide how to change the database.
package fact

import (
	"github.com/google/uuid"

	"github.com/wovensdn/woven/pkg/model"
)

// Owner is the object whose compilation declared a fact.
type Owner = model.Ref

// namespace is the name space of the version 5 UUIDs of all rows (RFC 9562 §5.5).
var namespace = uuid.MustParse("6f76656e-776f-5e6e-8000-6f766e2d6e62")

// UUIDOf is the identity of a row: the UUIDv5 of its table and its name or other declared identity. It is a pure
// function, so a fact may refer to a row that another owner declares, and the database refuses a second insert of the
// same row instead of creating a duplicate.
func UUIDOf(table, id string) string {
	return uuid.NewSHA1(namespace, []byte(table+"/"+id)).String()
}

// Ref points to a row by its identity.
type Ref struct {
	Table string
	UUID  string
}

// RefTo returns the reference to the row of a table with this identity.
func RefTo(table, id string) Ref {
	return Ref{Table: table, UUID: UUIDOf(table, id)}
}

// Row declares that a row exists, and the values of the columns that we own.
type Row struct {
	Ref
	// ID is the identity that the UUID is derived from: the name for tables that have one.
	ID string
	// Columns points to a row struct of package nb; the columns of [Schema].Owned are read from it.
	Columns any
	// Parent is the row that refers to this one; the zero value for root tables.
	Parent Ref
}

// Member declares that a set has one element, or a map one key.
type Member struct {
	Ref           // the row that has the column
	Column string // a column of [Schema].Members
	Key    string // the key of a map column; empty for sets
	Value  string // the element, or the value under Key; a UUID in columns that refer to rows
}

// Set collects the facts of one owner.
type Set struct {
	Rows    []Row
	Members []Member
}

// Row declares a row of a root table.
func (s *Set) Row(table, id string, columns any) Ref {
	ref := RefTo(table, id)
	s.Rows = append(s.Rows, Row{Ref: ref, ID: id, Columns: columns})
	return ref
}

// Child declares a row of a table whose rows exist only while a parent refers to them (RFC 7047 §3.2, "isRoot"): it is
// inserted together with that reference.
func (s *Set) Child(parent Ref, table, id string, columns any) Ref {
	ref := RefTo(table, id)
	s.Rows = append(s.Rows, Row{Ref: ref, ID: id, Columns: columns, Parent: parent})
	return ref
}

// Member declares an element of a set column.
func (s *Set) Member(of Ref, column, value string) {
	s.Members = append(s.Members, Member{Ref: of, Column: column, Value: value})
}

// Pair declares a key and its value in a map column.
func (s *Set) Pair(of Ref, column, key, value string) {
	s.Members = append(s.Members, Member{Ref: of, Column: column, Key: key, Value: value})
}

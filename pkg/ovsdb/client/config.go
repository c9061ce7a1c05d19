// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/ovsdb/nb"
	"github.com/wovensdn/woven/pkg/ovsdb/sb"
	"github.com/wovensdn/woven/pkg/ovsdb/vs"
)

// DefaultProbe is the inactivity probe interval when Config.Probe is zero.
const DefaultProbe = 5 * time.Second

// Database is the OVSDB database that a client uses.
type Database int

// The databases that Woven uses.
const (
	NB Database = iota + 1 // OVN_Northbound, ovn-nb(5)
	SB                     // OVN_Southbound, ovn-sb(5)
	VS                     // Open_vSwitch, ovs-vswitchd.conf.db(5)
)

// String returns the database's name in the OVSDB protocol, such as "OVN_Northbound".
func (d Database) String() string {
	switch d {
	case NB:
		return "OVN_Northbound"
	case SB:
		return "OVN_Southbound"
	case VS:
		return "Open_vSwitch"
	}
	return fmt.Sprintf("Database(%d)", int(d))
}

// Schema returns the schema that Woven was built with; the server's may be newer.
func (d Database) Schema() (ovsdb.DatabaseSchema, error) {
	switch d {
	case NB:
		return nb.Schema(), nil
	case SB:
		return sb.Schema(), nil
	case VS:
		return vs.Schema(), nil
	}
	return ovsdb.DatabaseSchema{}, fmt.Errorf("unknown database %d", int(d))
}

func (d Database) clientModel() (model.ClientDBModel, error) {
	switch d {
	case NB:
		return nb.FullDatabaseModel()
	case SB:
		return sb.FullDatabaseModel()
	case VS:
		return vs.FullDatabaseModel()
	}
	return model.ClientDBModel{}, fmt.Errorf("unknown database %d", int(d))
}

// Table selects what to monitor of one table. The zero values of Only, Except and Where select everything.
type Table struct {
	// Name is the table's name, such as nb.LogicalSwitchTable.
	Name string
	// Only lists the columns to monitor, if not empty. Other columns stay zero in the rows.
	Only []string
	// Except lists columns not to monitor. Only and Except exclude each other.
	Except []string
	// Where are conditions on the rows to monitor; a row that satisfies any of them is monitored (ovsdb-server(7),
	// monitor_cond). Values are in OVSDB notation.
	Where []ovsdb.Condition
}

// Handler receives events of the cache. Its methods are called in order from one goroutine, never concurrently. They
// may be slow: neither the cache nor Transact waits for them.
type Handler interface {
	// Synced means that the cache is complete after a (re)connect: any row may have changed.
	Synced()
	// Changed means that a row was added, changed or deleted in the cache since the last call for it. Several changes
	// of a row before a call are reported once.
	Changed(table, uuid string)
	// Lost means that the connection was lost. Reads continue to return the last cache.
	Lost(err error)
}

// Config configures a DB.
type Config struct {
	// Database is the database to use.
	Database Database
	// Endpoints are the servers in the order of preference: "unix:/path", "tcp:host:port" or
	// "ssl:host:port". Of a clustered NB or SB only the leader is used.
	Endpoints []string
	// TLS is the configuration for ssl endpoints; LoadTLS loads one from files.
	TLS *tls.Config
	// Tables are the tables to monitor. Reads of other tables find nothing.
	Tables []Table
	// Probe is the inactivity probe interval: the client probes a server that has been silent for that long, and
	// disconnects after twice that long. Zero means DefaultProbe; less than 100 ms is an error.
	Probe time.Duration
	// Handler receives events of the cache. It may be nil.
	Handler Handler
	// Clock is the clock of probes and back-off. Nil means the real one.
	Clock clock.WithTicker
	// Log gets one line when a connection is established, lost, or fails for a new reason.
	Log logr.Logger
}

type endpoint struct {
	text    string // as configured
	network string // "unix" or "tcp"
	address string
	tls     bool
}

// ParseEndpoints splits a comma-separated list of endpoints and checks each of them; see Config.Endpoints for their
// form.
func ParseEndpoints(list string) ([]string, error) {
	var endpoints []string
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if _, err := parseEndpoint(text); err != nil {
			return nil, err
		}
		endpoints = append(endpoints, text)
	}
	return endpoints, nil
}

func parseEndpoint(text string) (endpoint, error) {
	scheme, address, _ := strings.Cut(text, ":")
	switch scheme {
	case "unix":
		if !strings.HasPrefix(address, "/") {
			return endpoint{}, fmt.Errorf("endpoint %q: the path of the unix socket must be absolute", text)
		}
		return endpoint{text: text, network: "unix", address: address}, nil
	case "tcp", "ssl":
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return endpoint{}, fmt.Errorf("endpoint %q: want %s:host:port: %w", text, scheme, err)
		}
		if host == "" || port == "" {
			return endpoint{}, fmt.Errorf("endpoint %q: want %s:host:port", text, scheme)
		}
		return endpoint{text: text, network: "tcp", address: address, tls: scheme == "ssl"}, nil
	}
	return endpoint{}, fmt.Errorf("endpoint %q: want unix:/path, tcp:host:port or ssl:host:port", text)
}

func parseAll(cfg Config) ([]endpoint, error) {
	if len(cfg.Endpoints) == 0 {
		return nil, errors.New("no endpoints")
	}
	endpoints := make([]endpoint, 0, len(cfg.Endpoints))
	for _, text := range cfg.Endpoints {
		e, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		if e.tls && cfg.TLS == nil {
			return nil, fmt.Errorf("endpoint %q: needs a TLS configuration (certificate, key and CA)", text)
		}
		endpoints = append(endpoints, e)
	}
	return endpoints, nil
}

// columns returns the columns of t to monitor, sorted.
func (t Table) columns(schema *ovsdb.TableSchema) ([]string, error) {
	if len(t.Only) > 0 && len(t.Except) > 0 {
		return nil, fmt.Errorf("table %s: Only and Except exclude each other", t.Name)
	}
	for _, name := range slices.Concat(t.Only, t.Except) {
		if schema.Columns[name] == nil {
			return nil, fmt.Errorf("table %s: no column %q", t.Name, name)
		}
	}
	columns := []string{}
	for name := range schema.Columns {
		if len(t.Only) > 0 && !slices.Contains(t.Only, name) || slices.Contains(t.Except, name) {
			continue
		}
		columns = append(columns, name)
	}
	slices.Sort(columns)
	return columns, nil
}

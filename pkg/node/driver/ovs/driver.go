// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/vs"
)

// ErrNotConnected is wrapped while there is no connection to the database.
var ErrNotConnected = client.ErrNotConnected

// Config configures a [Driver].
type Config struct {
	// Endpoint of the node's own database: "unix:/run/openvswitch/db.sock".
	Endpoint string
	// Probe is the inactivity probe interval; zero means [client.DefaultProbe].
	Probe time.Duration
	// OnChange, if set, is called whenever a port, a mirror or a bridge may have changed, and when the connection comes
	// or goes. It must not block.
	OnChange func()
	Log      logr.Logger
}

// Driver makes rows of one Open_vSwitch database. Its methods may be called in parallel; all but WaitInstalled fail
// with [ErrNotConnected] while there is no connection.
type Driver struct {
	db       *client.DB
	onChange func()

	mu      sync.Mutex
	changed chan struct{}
}

// New returns a driver that does nothing until Run.
func New(cfg Config) (*Driver, error) {
	d := &Driver{changed: make(chan struct{}), onChange: cfg.OnChange}
	db, err := client.New(client.Config{
		Database: client.VS, Endpoints: []string{cfg.Endpoint}, Probe: cfg.Probe, Handler: handler{d}, Log: cfg.Log,
		// Statistics, which change every few seconds, and everything else that nothing here reads are left out.
		Tables: []client.Table{
			{Name: vs.OpenvSwitchTable, Only: []string{"external_ids"}},
			{Name: vs.BridgeTable, Only: []string{"name", "ports", "mirrors", "datapath_type", "other_config", "external_ids"}},
			{Name: vs.PortTable, Only: []string{"name", "interfaces", "external_ids"}},
			{Name: vs.InterfaceTable, Only: []string{"name", "type", "mac", "mtu_request", "ofport", "options", "external_ids"}},
			{Name: vs.MirrorTable, Only: []string{"name", "output_port", "select_all", "select_src_port", "select_dst_port", "external_ids"}},
		},
	})
	if err != nil {
		return nil, err
	}
	d.db = db
	return d, nil
}

// Run keeps the connection until ctx ends.
func (d *Driver) Run(ctx context.Context) error { return d.db.Run(ctx) }

// WaitSynced returns when the cache is complete, or with ctx's error.
func (d *Driver) WaitSynced(ctx context.Context) error { return d.db.WaitSynced(ctx) }

// handler hears the database's events; it keeps them out of the driver's method set.
type handler struct{ d *Driver }

func (h handler) Synced()                { h.d.wake() }
func (h handler) Changed(string, string) { h.d.wake() }
func (h handler) Lost(error)             { h.d.wake() }

func (d *Driver) wake() {
	d.mu.Lock()
	close(d.changed)
	d.changed = make(chan struct{})
	d.mu.Unlock()
	if d.onChange != nil {
		d.onChange()
	}
}

// next returns a channel that is closed at the next change.
func (d *Driver) next() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *Driver) view() (view, error) {
	if !d.db.Connected() {
		return view{}, fmt.Errorf("Open_vSwitch: %w", ErrNotConnected)
	}
	v := view{ports: map[string]*vs.Port{}, ifaces: map[string]*vs.Interface{}, mirrors: map[string]*vs.Mirror{}}
	// The tables are read from the referring to the referred one: a row that comes meanwhile is not referred to
	// yet, and one that goes is a reference to nothing, which everything here tolerates.
	d.db.Each(vs.BridgeTable, func(_ string, row model.Model) bool {
		if b, ok := row.(*vs.Bridge); ok {
			v.bridges = append(v.bridges, b)
		}
		return true
	})
	d.db.Each(vs.OpenvSwitchTable, func(_ string, row model.Model) bool {
		v.root, _ = row.(*vs.OpenvSwitch)
		return v.root == nil
	})
	collect(d.db, vs.MirrorTable, v.mirrors)
	collect(d.db, vs.PortTable, v.ports)
	collect(d.db, vs.InterfaceTable, v.ifaces)
	return v, nil
}

func collect[T any](db *client.DB, table string, into map[string]*T) {
	db.Each(table, func(uuid string, row model.Model) bool {
		if r, ok := any(row).(*T); ok {
			into[uuid] = r
		}
		return true
	})
}

// EnsureBridge makes the bridge, its internal port and its mapping so, in one transaction, and does nothing if they
// are. A bridge of that name that Woven did not make is an error that wraps [ErrNotOwned]; a network that is mapped to
// another bridge one that wraps [ErrNetworkMapped].
func (d *Driver) EnsureBridge(ctx context.Context, b Bridge) error {
	return d.do(ctx, fmt.Sprintf("ensure OVS bridge %q", b.Name), func(v view) ([]ovsdb.Operation, error) { return planBridge(v, b) })
}

// DeleteBridge removes the bridge with all its ports, and its mapping. It is no error if there is no such bridge; a
// bridge that Woven did not make is one.
func (d *Driver) DeleteBridge(ctx context.Context, name string) error {
	return d.do(ctx, fmt.Sprintf("delete OVS bridge %q", name), func(v view) ([]ovsdb.Operation, error) { return planDeleteBridge(v, name) })
}

// Bridges returns the bridges that Woven made, by name.
func (d *Driver) Bridges() ([]Bridge, error) {
	v, err := d.view()
	if err != nil {
		return nil, err
	}
	return v.ownBridges(), nil
}

// EnsurePort makes the port and its interface so, in one transaction, and does nothing if they are. A port of that name
// that Woven did not make is an error that wraps [ErrNotOwned]; a missing bridge one that wraps [ErrNoBridge].
func (d *Driver) EnsurePort(ctx context.Context, p Port) error {
	return d.do(ctx, fmt.Sprintf("ensure OVS port %q", p.Name), func(v view) ([]ovsdb.Operation, error) { return planPort(v, p) })
}

// DeletePort removes the port from the bridge, or from whichever bridge has it if bridge is empty. It is no error if
// there is none; a port that Woven did not make is one.
func (d *Driver) DeletePort(ctx context.Context, bridge, name string) error {
	return d.do(ctx, fmt.Sprintf("delete OVS port %q", name), func(v view) ([]ovsdb.Operation, error) {
		return planDeletePort(v, bridge, name)
	})
}

// EnsureMirror makes the mirror so. Its output port must be on the bridge.
func (d *Driver) EnsureMirror(ctx context.Context, m Mirror) error {
	return d.do(ctx, fmt.Sprintf("ensure OVS mirror %q", m.Name), func(v view) ([]ovsdb.Operation, error) { return planMirror(v, m) })
}

// DeleteMirror removes the mirror; it is no error if there is none.
func (d *Driver) DeleteMirror(ctx context.Context, bridge, name string) error {
	return d.do(ctx, fmt.Sprintf("delete OVS mirror %q", name), func(v view) ([]ovsdb.Operation, error) {
		return planDeleteMirror(v, bridge, name)
	})
}

// do plans from the cache and sends the plan as one transaction.
func (d *Driver) do(ctx context.Context, what string, plan func(view) ([]ovsdb.Operation, error)) error {
	v, err := d.view()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	ops, err := plan(v)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(ops) == 0 {
		return nil
	}
	results, err := d.db.Transact(ctx, ops...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := verify(ops, results); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// verify returns the errors of the results, and one for an operation that found no row to work on: OVSDB takes a
// mutate of a vanished row for a success, and drops the rows whose only reference it would have been.
func verify(ops []ovsdb.Operation, results []ovsdb.OperationResult) error {
	if failed, err := ovsdb.CheckOperationResults(results, ops); err != nil {
		errs := []error{err}
		for _, f := range failed {
			errs = append(errs, f)
		}
		return errors.Join(errs...)
	}
	for i, op := range ops {
		if op.Op != ovsdb.OperationInsert && results[i].Count == 0 {
			return fmt.Errorf("the %s row vanished before it was changed", op.Table)
		}
	}
	return nil
}

// Ports returns the ports that Woven made, by name. Their ExternalIDs and Options are the Interface's, whole.
func (d *Driver) Ports() ([]Port, error) {
	v, err := d.view()
	if err != nil {
		return nil, err
	}
	return v.list(), nil
}

// WaitInstalled returns when ovn-controller has set external_ids:ovn-installed of the interface while its iface-id-ver
// was ifaceIDVer; it is woken by the database, and waits through a lost connection. It returns ctx's error, wrapped.
func (d *Driver) WaitInstalled(ctx context.Context, name, ifaceIDVer string) error {
	for {
		changed := d.next()
		if d.installed(name, ifaceIDVer) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for external_ids:%s of interface %q: %w", KeyOVNInstalled, name, ctx.Err())
		case <-changed:
		}
	}
}

func (d *Driver) installed(name, ifaceIDVer string) bool {
	found := false
	d.db.Each(vs.InterfaceTable, func(_ string, row model.Model) bool {
		i, ok := row.(*vs.Interface)
		found = ok && i.Name == name && (Port{ExternalIDs: i.ExternalIDs}).Installed(ifaceIDVer)
		return !found
	})
	return found
}

// DatapathType returns the bridge's datapath_type: "" or "system" for the kernel's, "netdev" for userspace.
func (d *Driver) DatapathType(bridge string) (string, error) {
	v, err := d.view()
	if err != nil {
		return "", err
	}
	b, err := v.bridge(bridge)
	if err != nil {
		return "", err
	}
	return b.DatapathType, nil
}

// Remote returns external_ids:ovn-remote of the Open_vSwitch row, the southbound database that ovn-controller connects
// to (ovn-controller(8)); empty if it is not set.
func (d *Driver) Remote() (string, error) {
	v, err := d.view()
	if err != nil || v.root == nil {
		return "", err
	}
	return v.root.ExternalIDs["ovn-remote"], nil
}

// SystemID returns external_ids:system-id of the Open_vSwitch row, the name of this chassis in OVN.
func (d *Driver) SystemID() (string, error) {
	v, err := d.view()
	if err != nil {
		return "", err
	}
	if v.root == nil || v.root.ExternalIDs["system-id"] == "" {
		return "", errors.New("Open_vSwitch: external_ids:system-id is not set")
	}
	return v.root.ExternalIDs["system-id"], nil
}

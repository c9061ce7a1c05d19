// SPDX-License-Identifier: Apache-2.0

package check

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ovn-kubernetes/libovsdb/model"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/fact"
	"github.com/wovensdn/woven/pkg/kube"
	ovsdb "github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/sb"
)

// Database is an OVN database to read; [*ovsdb.DB] implements it.
type Database interface {
	WaitSynced(ctx context.Context) error
	Each(table string, fn func(uuid string, row model.Model) bool)
}

// ErrNotReadable is wrapped by [Hosts] for a node that cannot be read, for example because it is stopped; it is
// skipped.
var ErrNotReadable = errors.New("the node cannot be read")

// Hosts reads the state of nodes.
type Hosts interface {
	Host(ctx context.Context, node string) (Host, error)
}

// Sources are the sources of a [State].
type Sources struct {
	// API reads live, not from a cache. It must know the kinds of [Scheme].
	API    client.Reader
	NB, SB Database
	// Hosts may be nil: the state of the nodes is not compared then.
	Hosts Hosts
	// Names is the configuration of the controller; its zero value means [DefaultNames].
	Names Names
}

// NBTables are the tables of the northbound database to monitor.
func NBTables() []ovsdb.Table {
	var tables []ovsdb.Table
	for _, t := range fact.Tables() {
		tables = append(tables, ovsdb.Table{Name: t.Name})
	}
	return tables
}

// SBTables are the tables of the southbound database to monitor.
func SBTables() []ovsdb.Table {
	return []ovsdb.Table{
		{Name: sb.ChassisTable, Only: []string{"name", "hostname"}},
		{Name: sb.PortBindingTable, Only: []string{"logical_port", "chassis", "up", "external_ids"}},
	}
}

// Scheme returns a scheme with all kinds that are read.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(clientgoscheme.AddToScheme, v1.AddToScheme, v1alpha1.Install, v1alpha2.Install)
	if err := builder.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("create scheme: %w", err)
	}
	return scheme, nil
}

// Differences reads all sources and compares them. Sources are read one after the other: a change meanwhile may appear
// as a difference.
func Differences(ctx context.Context, from Sources) ([]Difference, error) {
	state, err := Read(ctx, from)
	if err != nil {
		return nil, err
	}
	names := from.Names
	if names.ClusterRouter == "" {
		names = DefaultNames
	}
	return Compare(names, state)
}

// Persistent repeats [Differences] every interval until there is none, or until the time settle is over; it returns the
// last result. The end of settle does not interrupt a reading: its differences count.
func Persistent(ctx context.Context, from Sources, settle, interval time.Duration) ([]Difference, error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	over, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	return persistent(over.Done(), ticker.C, func() ([]Difference, error) { return Differences(ctx, from) })
}

func persistent(over <-chan struct{}, again <-chan time.Time, read func() ([]Difference, error)) ([]Difference, error) {
	for {
		found, err := read()
		if err != nil || len(found) == 0 {
			return found, err
		}
		select {
		case <-over:
			return found, nil
		case <-again:
		}
	}
}

// Read reads all sources.
func Read(ctx context.Context, from Sources) (State, error) {
	s := State{NB: Rows{}, SB: Rows{}}
	objects, err := readObjects(ctx, from.API)
	if err != nil {
		return s, err
	}
	s.Objects = objects
	if err := readRows(ctx, from.NB, NBTables(), s.NB); err != nil {
		return s, fmt.Errorf("read the northbound database: %w", err)
	}
	if err := readRows(ctx, from.SB, SBTables(), s.SB); err != nil {
		return s, fmt.Errorf("read the southbound database: %w", err)
	}
	if from.Hosts != nil {
		s.Hosts, err = readHosts(ctx, from.Hosts, s.Objects.Nodes)
	}
	return s, err
}

func readObjects(ctx context.Context, api client.Reader) (Objects, error) {
	var o Objects
	kinds := kube.SupportedKinds()
	lists := make([][]runtime.Object, len(kinds))
	g, ctx := errgroup.WithContext(ctx)
	for i, k := range kinds {
		g.Go(func() (err error) {
			lists[i], err = list(ctx, api, k)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return o, err
	}
	for _, objects := range lists {
		for _, object := range objects {
			o.add(object)
		}
	}
	return o, nil
}

func (o *Objects) add(object runtime.Object) {
	switch object := object.(type) {
	case *corev1.Pod:
		o.Pods = append(o.Pods, *object)
	case *corev1.Node:
		o.Nodes = append(o.Nodes, *object)
	case *v1.Subnet:
		o.Subnets = append(o.Subnets, *object)
	case *v1.IP:
		o.IPs = append(o.IPs, *object)
	case *networkingv1.ServiceCIDR:
		o.ServiceCIDRs = append(o.ServiceCIDRs, *object)
	case kube.Object:
		o.Others = append(o.Others, object)
	}
}

// list reads all objects of a kind. An optional kind that is not served has none.
func list(ctx context.Context, api client.Reader, k kube.Kind) ([]runtime.Object, error) {
	objects, err := k.NewList()
	if err != nil {
		return nil, err
	}
	err = api.List(ctx, objects)
	if err != nil && (k.Definition != "" || k.IfServed) && (meta.IsNoMatchError(err) || apierrors.IsNotFound(err)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s objects: %w", k.Name, err)
	}
	items, err := meta.ExtractList(objects)
	if err != nil {
		return nil, fmt.Errorf("list %s objects: %w", k.Name, err)
	}
	for _, item := range items {
		item.GetObjectKind().SetGroupVersionKind(k.GVK) // items of lists have no kind
	}
	return items, nil
}

func readRows(ctx context.Context, db Database, tables []ovsdb.Table, into Rows) error {
	if err := db.WaitSynced(ctx); err != nil {
		return err
	}
	for _, t := range tables {
		rows := map[string]any{}
		db.Each(t.Name, func(uuid string, row model.Model) bool {
			rows[uuid] = row
			return true
		})
		into[t.Name] = rows
	}
	return nil
}

func readHosts(ctx context.Context, hosts Hosts, nodes []corev1.Node) (map[string]Host, error) {
	var mu sync.Mutex
	all := map[string]Host{}
	g, ctx := errgroup.WithContext(ctx)
	for i := range nodes {
		name := nodes[i].Name
		g.Go(func() error {
			h, err := hosts.Host(ctx, name)
			if errors.Is(err, ErrNotReadable) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read node %s: %w", name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			all[name] = h
			return nil
		})
	}
	err := g.Wait()
	return all, err
}

package check

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ovn-kubernetes/libovsdb/model"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/fact"
	ovsdb "github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/ovsdb/sb"
)

// Database is an OVN database that is read; [*ovsdb.DB] is one.
type Database interface {
	WaitSynced(ctx context.Context) error
	Each(table string, fn func(uuid string, row model.Model) bool)
}

// ErrNotReadable is wrapped by [Hosts] for a node that cannot be looked at, for
// example because it does not run; it is left out.
var ErrNotReadable = errors.New("the node cannot be looked at")

// Hosts looks at nodes.
type Hosts interface {
	Host(ctx context.Context, node string) (Host, error)
}

// Sources are where the facts come from.
type Sources struct {
	// API reads live, not from a cache. It must know the kinds of [Scheme].
	API    client.Reader
	NB, SB Database
	// Hosts may be nil: the nodes' own state is then not compared.
	Hosts Hosts
	// Names is the configuration of the controller; its zero value means [DefaultNames].
	Names Names
}

// NBTables and SBTables are what the databases must monitor.
func NBTables() []ovsdb.Table {
	var tables []ovsdb.Table
	for _, t := range fact.Tables() {
		tables = append(tables, ovsdb.Table{Name: t.Name})
	}
	return tables
}

// SBTables are those of the southbound database.
func SBTables() []ovsdb.Table {
	return []ovsdb.Table{
		{Name: sb.ChassisTable, Only: []string{"name", "hostname"}},
		{Name: sb.PortBindingTable, Only: []string{"logical_port", "chassis", "up", "external_ids"}},
	}
}

// Scheme knows all kinds that are read.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(clientgoscheme.AddToScheme, v1.AddToScheme, v1alpha1.Install, v1alpha2.Install)
	if err := builder.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("make scheme: %w", err)
	}
	return scheme, nil
}

// Differences reads everything and compares it. Sources are read one after the
// other: what changes meanwhile may show as a difference that is none.
func Differences(ctx context.Context, from Sources) ([]Difference, error) {
	state, err := Read(ctx, from)
	if err != nil {
		return nil, err
	}
	names := from.Names
	if names.ClusterRouter == "" {
		names = DefaultNames
	}
	return Compare(names, state), nil
}

// Settled repeats [Differences] every interval until there is none, or until ctx
// ends; it returns the last answer.
func Settled(ctx context.Context, from Sources, interval time.Duration) ([]Difference, error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		found, err := Differences(ctx, from)
		if err != nil || len(found) == 0 {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, nil
		case <-ticker.C:
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
	var pods corev1.PodList
	var nodes corev1.NodeList
	var namespaces corev1.NamespaceList
	var subnets v1.SubnetList
	var vpcs v1.VpcList
	var ips v1.IPList
	var pools v1.IPPoolList
	var sets appsv1.StatefulSetList
	var services corev1.ServiceList
	var endpoints discoveryv1.EndpointSliceList
	var ranges networkingv1.ServiceCIDRList
	var policies networkingv1.NetworkPolicyList
	var admin v1alpha1.AdminNetworkPolicyList
	var baseline v1alpha1.BaselineAdminNetworkPolicyList
	var cluster v1alpha2.ClusterNetworkPolicyList
	vms := metav1.PartialObjectMetadataList{}
	vms.SetGroupVersionKind(schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachineList"})
	err := list(ctx, api, map[string]client.ObjectList{
		"pods": &pods, "nodes": &nodes, "namespaces": &namespaces, "subnets": &subnets, "vpcs": &vpcs, "IP objects": &ips, "IPPools": &pools, "StatefulSets": &sets,
		"Services": &services, "EndpointSlices": &endpoints, "ServiceCIDRs": &ranges, "NetworkPolicies": &policies,
	}, map[string]client.ObjectList{
		"VirtualMachines": &vms, "AdminNetworkPolicies": &admin, "BaselineAdminNetworkPolicies": &baseline, "ClusterNetworkPolicies": &cluster,
	})
	return Objects{
		Pods: pods.Items, Nodes: nodes.Items, Namespaces: namespaces.Items,
		Services: services.Items, EndpointSlices: endpoints.Items, ServiceCIDRs: ranges.Items,
		Subnets: subnets.Items, Vpcs: vpcs.Items, IPs: ips.Items, IPPools: pools.Items, StatefulSets: sets.Items, VirtualMachines: vms.Items,
		NetworkPolicies: policies.Items, AdminNetworkPolicies: admin.Items, BaselineAdminNetworkPolicies: baseline.Items, ClusterNetworkPolicies: cluster.Items,
	}, err
}

// list fills the lists; optional ones are of kinds that a cluster need not serve.
func list(ctx context.Context, api client.Reader, needed, optional map[string]client.ObjectList) error {
	g, ctx := errgroup.WithContext(ctx)
	read := func(what string, list client.ObjectList, optional bool) {
		g.Go(func() error {
			err := api.List(ctx, list)
			if err == nil || optional && (meta.IsNoMatchError(err) || apierrors.IsNotFound(err)) {
				return nil
			}
			return fmt.Errorf("list %s: %w", what, err)
		})
	}
	for what, list := range needed {
		read(what, list, false)
	}
	for what, list := range optional {
		read(what, list, true)
	}
	return g.Wait()
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
				return fmt.Errorf("look at node %s: %w", name, err)
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

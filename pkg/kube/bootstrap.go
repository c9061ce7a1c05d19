// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wovensdn/woven/api/annotations"
	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/model"
)

// SubnetPlan has the flags of a Subnet that the controller creates. Dual-stack values are written "v4,v6"; an empty
// gateway means the first address.
type SubnetPlan struct {
	CIDR       string
	Gateway    string
	ExcludeIPs []string
}

// Defaults describe the objects that every cluster needs.
type Defaults struct {
	Names
	Default SubnetPlan // the subnet of namespaces that are bound to no other
	Join    SubnetPlan // the subnet of the nodes' ports
}

// Bootstrapper creates missing objects that every cluster needs, and writes defaults into the spec of Subnets. It never
// changes a value that a user has set.
type Bootstrapper struct {
	client   client.Client
	in       *Intake
	defaults Defaults
	observer Observer
	health   *apihealth.Reporter
	log      logr.Logger
	queue    workqueue.TypedRateLimitingInterface[model.Ref]
	leading  atomic.Bool
	kinds    map[model.Kind]Kind
}

// NewBootstrapper returns a bootstrapper that does nothing until it leads.
func NewBootstrapper(c client.Client, in *Intake, o Observer, d Defaults, health *apihealth.Reporter, clk clock.WithTicker, log logr.Logger) *Bootstrapper {
	b := &Bootstrapper{
		client: c, in: in, defaults: d, observer: o, health: health, log: log, kinds: in.Kinds.byName(),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[model.Ref](time.Second, 30*time.Second),
			workqueue.TypedRateLimitingQueueConfig[model.Ref]{Clock: clk}),
	}
	in.onChange(b.changed)
	in.whenSynced(b.queueAll)
	return b
}

// NeedLeaderElection is false: [Bootstrapper.Lead] enables writing.
func (b *Bootstrapper) NeedLeaderElection() bool { return false }

// Lead sets whether this process leads. A new leader checks all objects.
func (b *Bootstrapper) Lead(leading bool) {
	if b.leading.Swap(leading) || !leading {
		return
	}
	b.queueAll()
}

func (b *Bootstrapper) queueAll() {
	for ref := range b.required() {
		b.queue.Add(ref)
	}
	for _, o := range b.in.known(model.KindSubnet) {
		b.queue.Add(refOf(model.KindSubnet, o))
	}
}

func (b *Bootstrapper) changed(ref model.Ref, _, _ Object) {
	if ref.Kind == model.KindSubnet || ref.Kind == model.KindVpc {
		b.queue.Add(ref)
	}
}

// Start works until the context ends.
func (b *Bootstrapper) Start(ctx context.Context) error {
	defer context.AfterFunc(ctx, b.queue.ShutDown)()
	for {
		ref, shutdown := b.queue.Get()
		if shutdown {
			return nil
		}
		if err := b.ensure(ctx, ref); err != nil && ctx.Err() == nil {
			b.retry(ref, err)
		} else {
			b.queue.Forget(ref)
		}
		b.queue.Done(ref)
	}
}

func (b *Bootstrapper) retry(ref model.Ref, err error) {
	if !b.health.Unreachable(err) {
		b.log.Info("required object or defaults cannot be written, retrying", "object", ref.String(), "cause", err.Error())
	}
	b.queue.AddRateLimited(ref)
}

func (b *Bootstrapper) ensure(ctx context.Context, ref model.Ref) error {
	if !b.leading.Load() || !b.in.Synced() {
		return nil // either event queues all objects
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	have := b.in.object(ref)
	if have == nil {
		return b.create(ctx, ref)
	}
	if subnet, ok := have.(*v1.Subnet); ok && subnet.DeletionTimestamp == nil {
		return b.writeDefaults(ctx, ref, subnet)
	}
	return nil
}

func (b *Bootstrapper) create(ctx context.Context, ref model.Ref) error {
	o := b.required()[ref]
	if o == nil {
		return nil
	}
	b.in.begin(ref)
	err := b.client.Create(ctx, o, client.FieldOwner(fieldManager))
	b.observer.Wrote(string(ref.Kind), "create", result(err))
	if err != nil {
		b.in.failed(ref)
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return fmt.Errorf("create %s: %w", ref, err)
	}
	b.in.wrote(b.kinds[ref.Kind], o)
	b.log.Info("created", "object", ref.String())
	return nil
}

// writeDefaults writes the defaults of a Subnet into its spec, unless it was changed meanwhile: the event of that
// change queues it again.
func (b *Bootstrapper) writeDefaults(ctx context.Context, ref model.Ref, have *v1.Subnet) error {
	want := b.withDefaults(have)
	if want == nil {
		return nil
	}
	b.in.begin(ref)
	err := b.client.Patch(ctx, want, client.MergeFromWithOptions(have, client.MergeFromWithOptimisticLock{}), client.FieldOwner(fieldManager))
	b.observer.Wrote(string(ref.Kind), "patch", result(err))
	if err != nil {
		b.in.failed(ref)
		if isGone(err) {
			return nil
		}
		return fmt.Errorf("write defaults of %s: %w", ref, err)
	}
	b.in.wrote(b.kinds[ref.Kind], want)
	return nil
}

// withDefaults is the Subnet with its defaults; nil if it has them already. Only the configured default subnet may have
// spec.default set.
func (b *Bootstrapper) withDefaults(have *v1.Subnet) *v1.Subnet {
	want := model.SubnetDefaults(have)
	if isDefault := have.Name == b.defaults.DefaultSubnet; have.Spec.Default && !isDefault {
		if want == nil {
			want = have.DeepCopy()
		}
		want.Spec.Default = false
	}
	return want
}

// required are the objects that must exist, as they are created.
func (b *Bootstrapper) required() map[model.Ref]Object {
	d := b.defaults
	node := b.subnet(d.NodeSwitch, d.Join)
	pods := b.subnet(d.DefaultSubnet, d.Default)
	pods.Spec.Default, pods.Spec.NatOutgoing = true, true
	vpc := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: d.ClusterRouter, Finalizers: []string{annotations.Finalizer}}}
	return map[model.Ref]Object{
		{Kind: model.KindVpc, Name: d.ClusterRouter}:    vpc,
		{Kind: model.KindSubnet, Name: d.NodeSwitch}:    node,
		{Kind: model.KindSubnet, Name: d.DefaultSubnet}: pods,
	}
}

func (b *Bootstrapper) subnet(name string, plan SubnetPlan) *v1.Subnet {
	o := &v1.Subnet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{annotations.Finalizer}},
		Spec: v1.SubnetSpec{
			Vpc: b.defaults.ClusterRouter, Provider: annotations.DefaultProvider, GatewayType: v1.GatewayDistributed,
			CIDRBlock: plan.CIDR, Gateway: plan.Gateway, ExcludeIPs: plan.ExcludeIPs,
		},
	}
	if complete := model.SubnetDefaults(o); complete != nil {
		return complete
	}
	return o
}

// Validate checks the plans. Its error names the invalid flag.
func (d Defaults) Validate(defaultFlag, joinFlag string) error {
	b := Bootstrapper{defaults: d}
	for flag, o := range map[string]*v1.Subnet{defaultFlag: b.subnet(d.DefaultSubnet, d.Default), joinFlag: b.subnet(d.NodeSwitch, d.Join)} {
		if _, problems := model.SubnetFrom(o); model.Fatal(problems) {
			return fmt.Errorf("flags --%s*: Subnet %s: %s", flag, o.Name, strings.TrimSpace(message(problems)))
		}
	}
	return nil
}

package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	v1 "github.com/wovensdn/woven/api/v1"
	"github.com/wovensdn/woven/pkg/apihealth"
)

// probeInterval is the time between two looks at what the API server serves.
const probeInterval = 2 * time.Second

// Probe waits for an API server that serves our kinds.
type Probe struct {
	API    rest.Interface // of any group, for absolute paths
	Outage *apihealth.Reporter
	Clock  clock.Clock
	Log    logr.Logger
}

// Wait returns once the API server answers and serves every kind that is
// watched. It tells what is missing, and goes on trying until the context ends.
func (p *Probe) Wait(ctx context.Context) error {
	for {
		missing, err := p.missing(ctx)
		switch {
		case err == nil && len(missing) == 0:
			p.Log.Info("API server answers and serves all kinds", "server", p.Outage.Server)
			return nil
		case err == nil:
			p.Outage.Report("CustomResourceDefinitions are missing; apply them (config/crd), trying again until they are there",
				fmt.Errorf("not served: %s", strings.Join(missing, ", ")))
		case ctx.Err() == nil && !p.Outage.Unreachable(err):
			p.Outage.Report("API server cannot be used; trying again", err)
		}
		timer := p.Clock.NewTimer(probeInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C():
		}
	}
}

// missing names the CustomResourceDefinitions that are not served.
func (p *Probe) missing(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	served := &metav1.APIResourceList{}
	err := p.API.Get().AbsPath("/apis/"+v1.GroupVersion.String()).SetHeader("Accept", "application/json").Do(ctx).Into(served)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	kinds := map[string]bool{}
	for _, r := range served.APIResources {
		kinds[r.Kind] = true
	}
	return missingFrom(kinds), nil
}

func missingFrom(served map[string]bool) []string {
	var missing []string
	for _, k := range AllKinds() {
		if k.Definition == "" && k.GVK.Group == v1.GroupName && !served[k.GVK.Kind] {
			missing = append(missing, k.resource().String())
		}
	}
	return missing
}

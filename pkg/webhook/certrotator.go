// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/apihealth"
)

// The objects of config/webhook that a [CertRotator] fills in.
const (
	// SecretName is the name of the Secret with certificate, key and CA.
	SecretName = "woven-webhook" //nolint:gosec // a name
	// ConfigurationName is the name of the ValidatingWebhookConfiguration.
	ConfigurationName = "woven"
)

const (
	requestTimeout = 8 * time.Second
	firstRetry     = time.Second
	lastRetry      = time.Minute
	checkInterval  = 12 * time.Hour // between two checks of the certificate's expiry
)

// CertRotator creates the webhook's serving certificate, and writes its CA into the ValidatingWebhookConfiguration. All
// controllers of a cluster share one certificate in a Secret; each replaces it when it is missing or expires soon.
type CertRotator struct {
	Client    kubernetes.Interface
	Namespace string   // of the Secret
	Names     []string // DNS names and addresses by which the API server connects
	Clock     clock.WithTicker
	Health    *apihealth.Reporter
	Log       logr.Logger

	current atomic.Pointer[tls.Certificate]
}

// Certificate is for [tls.Config.GetCertificate].
func (k *CertRotator) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := k.current.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("no certificate yet")
}

// NeedLeaderElection is false: standbys serve the webhook, too.
func (k *CertRotator) NeedLeaderElection() bool { return false }

// Start maintains Secret and configuration until the context ends: it checks them when they change, and every
// checkInterval.
func (k *CertRotator) Start(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	if err := k.watch(ctx, wake); err != nil {
		return err
	}
	delay, logged := firstRetry, ""
	for {
		wait := checkInterval
		if err := k.reconcile(ctx); err == nil {
			delay, logged = firstRetry, ""
		} else {
			wait, delay = delay, min(2*delay, lastRetry)
			logged = k.logOnce(ctx, err, logged)
		}
		timer := k.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-wake:
			timer.Stop()
		case <-timer.C():
		}
	}
}

// logOnce logs an error unless it is the last logged one, and returns its text.
func (k *CertRotator) logOnce(ctx context.Context, err error, logged string) string {
	text := err.Error()
	if text != logged && ctx.Err() == nil && !k.Health.Unreachable(err) {
		k.Log.Info("the webhook's certificate or configuration cannot be updated, retrying", "cause", text)
	}
	return text
}

// watch sends to wake when one of the two objects changes.
func (k *CertRotator) watch(ctx context.Context, wake chan struct{}) error {
	only := func(name string) informers.SharedInformerOption {
		return informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		})
	}
	secrets := informers.NewSharedInformerFactoryWithOptions(k.Client, 0, informers.WithNamespace(k.Namespace), only(SecretName))
	configurations := informers.NewSharedInformerFactoryWithOptions(k.Client, 0, only(ConfigurationName))
	notify := func(any) {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{
		secrets.Core().V1().Secrets().Informer(), configurations.Admissionregistration().V1().ValidatingWebhookConfigurations().Informer(),
	} {
		if err := informer.SetWatchErrorHandlerWithContext(k.Health.WatchError); err != nil {
			return fmt.Errorf("watch the webhook's Secret and configuration: %w", err)
		}
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: notify, UpdateFunc: func(_, o any) { notify(o) }, DeleteFunc: notify,
		})
		if err != nil {
			return fmt.Errorf("watch the webhook's Secret and configuration: %w", err)
		}
	}
	secrets.StartWithContext(ctx)
	configurations.StartWithContext(ctx)
	return nil
}

// reconcile updates certificate and configuration.
func (k *CertRotator) reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	secrets := k.Client.CoreV1().Secrets(k.Namespace)
	secret, err := secrets.Get(ctx, SecretName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read Secret %s/%s, which is one of the manifests of the webhook: %w", k.Namespace, SecretName, err)
	}
	pair, why := parse(secret.Data, k.Names, k.Clock.Now())
	if why != nil {
		k.Log.Info("creating a certificate for the webhook", "names", k.Names, "cause", why.Error())
		if secret.Data, err = issue(k.Names, secret.Data[keyCA], k.Clock.Now()); err != nil {
			return err
		}
		// If two controllers update it at once, the second update is a conflict; the retry reads the first one's
		// result.
		if secret, err = secrets.Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("write Secret %s/%s: %w", k.Namespace, SecretName, err)
		}
		if pair, err = parse(secret.Data, k.Names, k.Clock.Now()); err != nil {
			return fmt.Errorf("use the new certificate: %w", err)
		}
	}
	k.current.Store(pair)
	return k.writeCABundle(ctx, secret.Data[keyCA])
}

// writeCABundle writes the CA into the configuration.
func (k *CertRotator) writeCABundle(ctx context.Context, ca []byte) error {
	configurations := k.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	o, err := configurations.Get(ctx, ConfigurationName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read ValidatingWebhookConfiguration %s: %w", ConfigurationName, err)
	}
	patch, err := bundlePatch(o, ca)
	if err != nil || patch == nil {
		return err
	}
	if _, err := configurations.Patch(ctx, ConfigurationName, types.JSONPatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("write ValidatingWebhookConfiguration %s: %w", ConfigurationName, err)
	}
	k.Log.Info("CA of the webhook written to its configuration", "configuration", ConfigurationName)
	return nil
}

// bundlePatch is a JSON patch (RFC 6902) of the CA of all webhooks, which applies only to this resource version; nil if
// nothing differs.
func bundlePatch(o *admissionregistrationv1.ValidatingWebhookConfiguration, ca []byte) ([]byte, error) {
	patch := []map[string]any{{"op": "test", "path": "/metadata/resourceVersion", "value": o.ResourceVersion}}
	for i := range o.Webhooks {
		if !bytes.Equal(o.Webhooks[i].ClientConfig.CABundle, ca) {
			patch = append(patch, map[string]any{"op": "add", "path": fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), "value": ca})
		}
	}
	if len(patch) == 1 {
		return nil, nil
	}
	data, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	return data, nil
}

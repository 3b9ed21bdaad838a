// An app for PM2's cluster mode, with the signals that PM2's documentation asks for.
'use strict';

const { serve } = require('./answer.js');

serve(Number(process.env.PORT), () => process.send?.('ready'));
